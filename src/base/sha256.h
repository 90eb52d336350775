/* sha256.h: SHA-256 (FIPS 180-4), for saying exactly which texts or weights a number belongs to. */
#ifndef EARSHOT_BASE_SHA256_H
#define EARSHOT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t length_bytes;
    unsigned char block[64];
};

#define SHA256_HEX_SIZE 65

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size_bytes);
/* 64 lower-case hexadecimal digits and a NUL. */
void sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_SIZE]);

#endif
