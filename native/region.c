#include "region.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#if !defined(LIBJPEG_TURBO_VERSION_NUMBER) || LIBJPEG_TURBO_VERSION_NUMBER < 2001000
#error "libjpeg-turbo 2.1 or newer is needed; older ones crop and skip wrongly"
#endif

enum { SOF0 = 0xC0, SOF1 = 0xC1, DHT = 0xC4, RST0 = 0xD0, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DRI = 0xDD, COM = 0xFE };
enum { BLOCK = 8, COLOURS = 3 };

static unsigned big_endian(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static int say(char reason[REGION_REASON_BYTES], const char *what)
{
    snprintf(reason, REGION_REASON_BYTES, "%s", what);
    return 0;
}

/* ---- The headers -------------------------------------------------------------------------------------------------- */

/* `segment` starts at the length; returns the number of components, or 0 for what is not plain. */
static unsigned read_frame_header(const unsigned char *segment, unsigned length, struct region_layout *layout)
{
    if (length < 8 || segment[2] != 8)
        return 0;
    unsigned components = segment[7];
    if ((components != 1 && components != COLOURS) || length != 8 + 3 * components)
        return 0;
    layout->height = big_endian(segment + 3);
    layout->width = big_endian(segment + 5);
    if (layout->width == 0 || layout->height == 0 || layout->width > JPEG_MAX_DIMENSION ||
        layout->height > JPEG_MAX_DIMENSION)
        return 0;
    unsigned across = segment[9] >> 4, down = segment[9] & 15;
    if (components == 1 ? across != 1 || down != 1 : across < 1 || across > 2 || down < 1 || down > 2)
        return 0;
    for (unsigned i = 1; i < components; i++)
        if (segment[9 + 3 * i] != 0x11)
            return 0;
    layout->mcu_width = BLOCK * across;
    layout->mcu_height = BLOCK * down;
    return components;
}

static int is_whole_scan(const unsigned char *segment, unsigned length, unsigned components)
{
    if (length != 6 + 2 * components || segment[2] != components)
        return 0;
    const unsigned char *spectrum = segment + 3 + 2 * components;
    return spectrum[0] == 0 && spectrum[1] == 63 && spectrum[2] == 0;
}

int region_read_layout(const unsigned char *file, size_t size, struct region_layout *layout)
{
    unsigned components = 0, interval = 0;
    size_t at = 2;
    if (size < 4 || file[0] != 0xFF || file[1] != 0xD8)
        return 0;
    while (size - at >= 4) {
        const unsigned char *segment = file + at + 2;
        unsigned marker = file[at + 1], length = big_endian(segment);
        if (file[at] != 0xFF || length < 2 || length > size - at - 2)
            return 0;
        if (marker == SOS) {
            if (components == 0 || !is_whole_scan(segment, length, components))
                return 0;
            layout->scan = at + 2 + length;
            layout->row_restarts = interval == (layout->width + layout->mcu_width - 1) / layout->mcu_width;
            return 1;
        } else if (marker == SOF0 || marker == SOF1) {
            layout->frame_header = at;
            if (components != 0 || (components = read_frame_header(segment, length, layout)) == 0)
                return 0;
        } else if (marker == DRI) {
            if (length != 4)
                return 0;
            interval = big_endian(segment + 2);
        } else if (marker != DHT && marker != DQT && marker != COM && (marker < 0xE0 || marker > 0xEF)) {
            return 0;
        }
        at += 2 + length;
    }
    return 0;
}

/* Marker EOI cannot occur inside compressed data, so a file that was cut off has none after the scan's start. */
static int has_end(const unsigned char *file, size_t size, size_t scan)
{
    for (size_t at = size; at >= scan + 2; at--)
        if (file[at - 1] == EOI && file[at - 2] == 0xFF)
            return 1;
    return 0;
}

/* ---- Decoding ----------------------------------------------------------------------------------------------------- */

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    char *reason;
};

static _Noreturn void refuse(struct decoder *decoder, const char *what)
{
    say(decoder->reason, what);
    longjmp(decoder->escape, 1);
}

static _Noreturn void escape(j_common_ptr jpeg)
{
    char message[JMSG_LENGTH_MAX];
    (*jpeg->err->format_message)(jpeg, message);
    refuse(jpeg->client_data, message);
}

/* Levels below zero are warnings: the data are corrupt, and libjpeg would go on with made-up pixels. */
static void escape_on_warning(j_common_ptr jpeg, int level)
{
    if (level < 0)
        escape(jpeg);
}

static void prepare(struct decoder *decoder, char *reason)
{
    memset(decoder, 0, sizeof *decoder);
    decoder->reason = reason;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = escape;
    decoder->errors.emit_message = escape_on_warning;
    decoder->jpeg.client_data = decoder;
}

/* Columns to decode so that those of `rect` are what a full decode gives. Interpolated colour needs a neighbour on each
 * side; and in fewer columns than an MCU libjpeg would not interpolate at all. */
static void wanted_columns(const struct region_rect *rect, unsigned frame_width, unsigned mcu_width, JDIMENSION *first,
                           JDIMENSION *count)
{
    unsigned left = rect->x > 0 ? (rect->x - 1) / mcu_width * mcu_width : 0;
    unsigned right = (rect->x + rect->width) / mcu_width * mcu_width + mcu_width;
    if (right > frame_width)
        right = frame_width;
    if (right - left < mcu_width && left > 0)
        left -= mcu_width;
    *first = left;
    *count = right - left;
}

/* Decodes `rect` of a file whose headers must say what `layout` says. May leave by longjmp. */
static void decode_rows(struct decoder *decoder, const unsigned char *file, size_t size,
                        const struct region_layout *layout, const struct region_rect *rect, unsigned char *pixels)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    JDIMENSION first, count;

    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, file, (unsigned long)size);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->image_width != layout->width || jpeg->image_height != layout->height || jpeg->progressive_mode ||
        jpeg->arith_code || jpeg_has_multiple_scans(jpeg))
        refuse(decoder, "its headers contradict each other");
    /* The accurate DCT and interpolated colour are the defaults: what a full decode does, and what costs least here. */
    jpeg->out_color_space = JCS_EXT_BGR;
    jpeg_start_decompress(jpeg);
    wanted_columns(rect, layout->width, layout->mcu_width, &first, &count);
    if (count < jpeg->output_width)
        jpeg_crop_scanline(jpeg, &first, &count);
    JSAMPARRAY row = (*jpeg->mem->alloc_sarray)((j_common_ptr)jpeg, JPOOL_IMAGE, count * COLOURS, 1);
    if (rect->y > 0)
        jpeg_skip_scanlines(jpeg, rect->y);
    size_t stride = (size_t)rect->width * COLOURS;
    for (unsigned y = 0; y < rect->height; y++) {
        if (jpeg_read_scanlines(jpeg, row, 1) != 1)
            refuse(decoder, "it ends before its last row");
        memcpy(pixels + y * stride, row[0] + (size_t)(rect->x - first) * COLOURS, stride);
    }
}

static int decode(const unsigned char *file, size_t size, const struct region_layout *layout,
                  const struct region_rect *rect, unsigned char *pixels, char reason[REGION_REASON_BYTES])
{
    struct decoder decoder;

    prepare(&decoder, reason);
    if (setjmp(decoder.escape) == 0) {
        decode_rows(&decoder, file, size, layout, rect, pixels);
        jpeg_destroy_decompress(&decoder.jpeg);
        return 1;
    }
    jpeg_destroy_decompress(&decoder.jpeg);
    return 0;
}

int region_library_fits(char reason[REGION_REASON_BYTES])
{
    struct decoder decoder;

    prepare(&decoder, reason);
    if (setjmp(decoder.escape) == 0) {
        jpeg_create_decompress(&decoder.jpeg);
        jpeg_destroy_decompress(&decoder.jpeg);
        return 1;
    }
    return 0;
}

/* ---- Splicing ----------------------------------------------------------------------------------------------------- */

/* Offset of the next marker's second byte at or after `at`, or `size`. */
static size_t next_marker(const unsigned char *file, size_t size, size_t at)
{
    while (at + 1 < size) {
        const unsigned char *found = memchr(file + at, 0xFF, size - at - 1);
        if (found == NULL)
            break;
        at = (size_t)(found - file) + 1;
        if (file[at] != 0x00 && file[at] != 0xFF)
            return at;
    }
    return size;
}

/* Finds the compressed data of the rows of MCUs [first, end) of `rows`: [*from, *to). */
static int find_rows(const unsigned char *file, size_t size, size_t scan, unsigned rows, unsigned first, unsigned end,
                     size_t *from, size_t *to, char reason[REGION_REASON_BYTES])
{
    size_t at = scan;
    for (unsigned row = 0; row < end; row++) {
        if (row == first)
            *from = at;
        size_t marker = next_marker(file, size, at);
        if (marker == size)
            return say(reason, "it ends before its last row");
        if (row + 1 < rows && file[marker] != RST0 + (row & 7))
            return say(reason, "its restart markers are missing or out of order");
        *to = marker - 1;
        at = marker + 1;
    }
    return 1;
}

/* Makes a smaller file of the rows of MCUs that `rect` needs, and says what is where in it. */
static unsigned char *splice(const unsigned char *file, size_t size, struct region_layout *layout,
                             struct region_rect *rect, size_t *spliced_size, char reason[REGION_REASON_BYTES])
{
    unsigned mcu = layout->mcu_height, rows = (layout->height + mcu - 1) / mcu;
    /* One row of pixels more on each side, for interpolated colour. */
    unsigned first = (rect->y - 1) / mcu, end = (rect->y + rect->height) / mcu + 1;
    size_t from = 0, to = 0;
    if (end > rows)
        end = rows;
    if (!find_rows(file, size, layout->scan, rows, first, end, &from, &to, reason))
        return NULL;
    *spliced_size = layout->scan + (to - from) + 2;
    unsigned char *spliced = malloc(*spliced_size);
    if (spliced == NULL) {
        say(reason, "out of memory");
        return NULL;
    }
    memcpy(spliced, file, layout->scan);
    memcpy(spliced + layout->scan, file + from, to - from);
    spliced[*spliced_size - 2] = 0xFF;
    spliced[*spliced_size - 1] = EOI;
    size_t at = layout->scan;
    for (unsigned row = 0; first + row + 1 < end; row++) {
        at = next_marker(spliced, *spliced_size, at);
        spliced[at] = (unsigned char)(RST0 + (row & 7));
    }
    layout->height = (end < rows ? end * mcu : layout->height) - first * mcu;
    spliced[layout->frame_header + 5] = (unsigned char)(layout->height >> 8);
    spliced[layout->frame_header + 6] = (unsigned char)layout->height;
    rect->y -= first * mcu;
    return spliced;
}

int region_decode(const unsigned char *file, size_t size, const struct region_layout *layout,
                  const struct region_rect *rect, unsigned char *pixels, char reason[REGION_REASON_BYTES])
{
    if (!has_end(file, size, layout->scan))
        return say(reason, "it ends before its last row");
    /* Rows below the rectangle are never read, so there is nothing to gain if it starts in the first row of MCUs. */
    if (!layout->row_restarts || rect->y <= layout->mcu_height)
        return decode(file, size, layout, rect, pixels, reason);
    struct region_layout part = *layout;
    struct region_rect inside = *rect;
    size_t spliced_size;
    unsigned char *spliced = splice(file, size, &part, &inside, &spliced_size, reason);
    if (spliced == NULL)
        return 0;
    int done = decode(spliced, spliced_size, &part, &inside, pixels, reason);
    free(spliced);
    return done;
}
