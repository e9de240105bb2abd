/* Decodes a rectangle of a JPEG file, without Python: the extension module and the fuzzer share it. */
#ifndef LOCKON_REGION_H
#define LOCKON_REGION_H

#include <stddef.h>

#define REGION_REASON_BYTES 200 /* JMSG_LENGTH_MAX */

/* Where things lie in a plain file, and what its headers say. */
struct region_layout {
    size_t frame_header; /* offset of the SOF marker */
    size_t scan;         /* offset of the first byte of compressed data */
    unsigned width, height;
    unsigned mcu_width, mcu_height;
    int row_restarts; /* whether every row of MCUs is a restart interval of its own */
};

struct region_rect {
    unsigned x, y, width, height;
};

/* Reads the headers of a plain file: one Huffman-coded sequential scan of 8 bits, grey or three components with the
 * samplings that cameras and browsers write. Returns 0 for every other file, damaged or not. */
int region_read_layout(const unsigned char *file, size_t size, struct region_layout *layout);

/* Writes the rectangle, which must lie inside the picture, as width x height x BGR bytes. Returns 0 and a reason if the
 * file is damaged before the rectangle's end or has no end; `pixels` is then undefined. */
int region_decode(const unsigned char *file, size_t size, const struct region_layout *layout,
                  const struct region_rect *rect, unsigned char *pixels, char reason[REGION_REASON_BYTES]);

/* Returns 0 and a reason if the libjpeg found at run time is not the one of the headers. */
int region_library_fits(char reason[REGION_REASON_BYTES]);

#endif
