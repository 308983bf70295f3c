#include "dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

/* The first four bytes of a file: its elements are bytes (8), and the number of its dimensions follows. */
enum { MAGIC_OF_IMAGES = 0x803, MAGIC_OF_LABELS = 0x801 };

/* Two poolings halve each side; the upper bound keeps every product of sizes in range. */
enum { SIDE_MULTIPLE = 4, LARGEST_SIDE = 256 };

static bool idx_open(idx_file *idx, const char *folder, const char *name, const char *kind) {
    *idx = (idx_file){0};
    const int length = snprintf(idx->path, sizeof(idx->path), "%s/%s-%s-ubyte", folder, name, kind);
    if (length < 0 || (size_t)length >= sizeof(idx->path)) {
        fprintf(stderr, "the path of the folder is too long: %s\n", folder);
        return false;
    }
    idx->file = fopen(idx->path, "rb");
    if (idx->file == NULL) {
        fprintf(stderr, "cannot open %s: %s\n", idx->path, strerror(errno));
        return false;
    }
    /* Images are read in any order, so that a buffer would read more than is needed. */
    setvbuf(idx->file, NULL, _IONBF, 0);
    return true;
}

static void idx_close(idx_file *idx) {
    if (idx->file != NULL) {
        fclose(idx->file);
        idx->file = NULL;
    }
}

/* Reads the magic number and the sizes of all dimensions, which are 32-bit numbers, high byte first. */
static bool idx_read_header(idx_file *idx, uint32_t magic, size_t dimensions, uint32_t *sizes) {
    unsigned char bytes[16];
    uint32_t numbers[4];
    idx->header_bytes = 4 * (1 + dimensions);
    const size_t got = fread(bytes, 1, idx->header_bytes, idx->file);
    if (got < idx->header_bytes) {
        fprintf(stderr, "%s is too short: it has %zu bytes, its header alone needs %zu\n", idx->path, got,
                idx->header_bytes);
        return false;
    }
    for (size_t i = 0; i <= dimensions; ++i) {
        const unsigned char *b = bytes + 4 * i;
        numbers[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
    }
    if (numbers[0] != magic) {
        fprintf(stderr, "%s is no such IDX file: its magic number is 0x%08" PRIx32 ", not 0x%08" PRIx32 "\n",
                idx->path, numbers[0], magic);
        return false;
    }
    memcpy(sizes, numbers + 1, dimensions * sizeof(*sizes));
    return true;
}

/* The file has as many bytes as its header says. */
static bool idx_check_length(const idx_file *idx) {
    const uint64_t expected = idx->header_bytes + (uint64_t)idx->items * idx->item_bytes;
    const long length = fseek(idx->file, 0, SEEK_END) == 0 ? ftell(idx->file) : -1;
    if (length < 0) {
        fprintf(stderr, "cannot read %s: %s\n", idx->path, strerror(errno));
        return false;
    }
    if ((uint64_t)length != expected) {
        fprintf(stderr, "%s has %ld bytes; its header promises %" PRIu64 "\n", idx->path, length, expected);
        return false;
    }
    return true;
}

static bool idx_read(idx_file *idx, size_t index, unsigned char *item) {
    const long at = (long)(idx->header_bytes + index * idx->item_bytes);
    if (fseek(idx->file, at, SEEK_SET) != 0 || fread(item, idx->item_bytes, 1, idx->file) != 1) {
        fprintf(stderr, "cannot read item %zu of %s\n", index, idx->path);
        return false;
    }
    return true;
}

static bool is_side(uint32_t side) {
    return side >= SIDE_MULTIPLE && side <= LARGEST_SIDE && side % SIDE_MULTIPLE == 0;
}

static bool open_images(dataset *set, const char *folder, const char *name) {
    idx_file *images = &set->images;
    uint32_t sizes[3];
    if (!idx_open(images, folder, name, "images-idx3") ||
        !idx_read_header(images, MAGIC_OF_IMAGES, 3, sizes)) {
        return false;
    }
    if (sizes[0] == 0 || !is_side(sizes[1]) || !is_side(sizes[2])) {
        fprintf(stderr,
                "%s has %" PRIu32 " images of %" PRIu32 " x %" PRIu32
                "; at least one is needed, of sides of 4, 8, 12 ... %d\n",
                images->path, sizes[0], sizes[1], sizes[2], LARGEST_SIDE);
        return false;
    }
    images->items = sizes[0];
    set->rows = sizes[1];
    set->columns = sizes[2];
    images->item_bytes = set->rows * set->columns;
    return idx_check_length(images);
}

static bool open_labels(dataset *set, const char *folder, const char *name) {
    idx_file *labels = &set->labels;
    uint32_t count;
    if (!idx_open(labels, folder, name, "labels-idx1") ||
        !idx_read_header(labels, MAGIC_OF_LABELS, 1, &count)) {
        return false;
    }
    labels->items = count;
    labels->item_bytes = 1;
    if (labels->items != set->images.items) {
        fprintf(stderr, "%s has %zu labels, but %s has %zu images\n", labels->path, labels->items,
                set->images.path, set->images.items);
        return false;
    }
    return idx_check_length(labels);
}

bool dataset_open(dataset *set, const char *folder, const char *name) {
    *set = (dataset){0};
    if (!open_images(set, folder, name) || !open_labels(set, folder, name)) {
        dataset_close(set);
        return false;
    }
    return true;
}

bool dataset_read(dataset *set, size_t index, unsigned char *pixels, unsigned char *label) {
    if (!idx_read(&set->images, index, pixels) || !idx_read(&set->labels, index, label)) {
        return false;
    }
    if (*label >= DATASET_CLASSES) {
        fprintf(stderr, "%s: label %zu is %d, not one of 0 to %d\n", set->labels.path, index, (int)*label,
                DATASET_CLASSES - 1);
        return false;
    }
    return true;
}

void dataset_close(dataset *set) {
    idx_close(&set->images);
    idx_close(&set->labels);
}
