/* A libFuzzer target for native/region.c: eight bytes that choose a rectangle, then a JPEG file. README.md says how to run it.
 *
 * Beside what the sanitizers see, it stops when
 * - a file that a strict full decode takes is refused, or has other pixels in the rectangle;
 * - decoding the same rectangle twice gives different pixels (memory that was never written). */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "../../native/region.h"

enum { CHOICE_BYTES = 8, MAX_PIXELS = 1 << 18, COLOURS = 3 };

struct strict {
    struct jpeg_error_mgr errors;
    jmp_buf escape;
};

static void escape(j_common_ptr jpeg)
{
    longjmp(((struct strict *)jpeg->err)->escape, 1);
}

static void escape_on_warning(j_common_ptr jpeg, int level)
{
    if (level < 0)
        escape(jpeg);
}

/* As simplejpeg with strict=True: 1 if the whole file is sound. */
static int decode_all(const uint8_t *file, size_t size, uint8_t *pixels)
{
    struct jpeg_decompress_struct jpeg;
    struct strict strict;
    jpeg.err = jpeg_std_error(&strict.errors);
    strict.errors.error_exit = escape;
    strict.errors.emit_message = escape_on_warning;
    if (setjmp(strict.escape)) {
        jpeg_destroy_decompress(&jpeg);
        return 0;
    }
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, file, size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_EXT_BGR;
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = pixels + (size_t)jpeg.output_scanline * jpeg.output_width * COLOURS;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return 1;
}

static unsigned chosen(const uint8_t *choice, unsigned count)
{
    return (choice[0] << 8 | choice[1]) % count;
}

static void stop(const char *what, const char *reason)
{
    fprintf(stderr, "%s: %s\n", what, reason);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct region_layout layout;
    struct region_rect rect;
    char reason[REGION_REASON_BYTES];
    if (size < CHOICE_BYTES)
        return 0;
    const uint8_t *file = data + CHOICE_BYTES;
    size -= CHOICE_BYTES;
    if (!region_read_layout(file, size, &layout))
        return 0;
    rect.x = chosen(data, layout.width);
    rect.y = chosen(data + 2, layout.height);
    rect.width = 1 + chosen(data + 4, layout.width - rect.x);
    rect.height = 1 + chosen(data + 6, layout.height - rect.y);
    if ((uint64_t)rect.width * rect.height > MAX_PIXELS)
        return 0;
    size_t stride = (size_t)rect.width * COLOURS, bytes = stride * rect.height;
    uint8_t *once = malloc(bytes), *twice = malloc(bytes);
    memset(once, 0x00, bytes);
    memset(twice, 0xFF, bytes);
    int sound = region_decode(file, size, &layout, &rect, once, reason);
    if (region_decode(file, size, &layout, &rect, twice, reason) != sound)
        stop("decoded once, not twice", reason);
    if (sound && memcmp(once, twice, bytes) != 0)
        stop("different pixels the second time", "");
    if ((uint64_t)layout.width * layout.height <= MAX_PIXELS) {
        uint8_t *whole = malloc((size_t)layout.width * layout.height * COLOURS);
        if (decode_all(file, size, whole)) {
            if (!sound)
                stop("a sound file was refused", reason);
            for (unsigned y = 0; y < rect.height; y++)
                if (memcmp(once + y * stride, whole + ((size_t)(rect.y + y) * layout.width + rect.x) * COLOURS, stride))
                    stop("other pixels than the full decode", "");
        }
        free(whole);
    }
    free(once);
    free(twice);
    return 0;
}
