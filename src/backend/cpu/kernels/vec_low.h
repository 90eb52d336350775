/*
 * vec_low.h: vectors of floats from weights of any type: f32, bf16 (the upper half of an f32) and
 * signed bytes.  Widening is exact.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_VEC_LOW_H
#define EARSHOT_BACKEND_CPU_KERNELS_VEC_LOW_H

#include "backend/backend.h"
#include "backend/cpu/kernels/vec.h"

#if defined(__AVX512F__)

INLINE vec v_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));

    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

INLINE vec v_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

#elif defined(__AVX2__) && defined(__FMA__)

INLINE vec v_load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));

    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

INLINE vec v_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

#else

INLINE vec v_load_bf16(const uint16_t *p)
{
    typedef uint16_t halves __attribute__((vector_size(8)));
    typedef uint32_t wholes __attribute__((vector_size(16)));
    halves narrow;

    memcpy(&narrow, p, sizeof narrow);
    return (vec)(__builtin_convertvector(narrow, wholes) << 16);
}

INLINE vec v_load_i8(const int8_t *p)
{
    typedef int8_t bytes __attribute__((vector_size(4)));
    bytes narrow;

    memcpy(&narrow, p, sizeof narrow);
    return __builtin_convertvector(narrow, vec);
}

#endif

/* The first n lanes, 0 in the others. */
INLINE vec v_load_first_bf16(const uint16_t *p, int64_t n)
{
    uint16_t whole[VW] = {0};

    if (n >= VW)
        return v_load_bf16(p);
    for (int64_t i = 0; i < n; i++)
        whole[i] = p[i];
    return v_load_bf16(whole);
}

INLINE vec v_load_first_i8(const int8_t *p, int64_t n)
{
    int8_t whole[VW] = {0};

    if (n >= VW)
        return v_load_i8(p);
    for (int64_t i = 0; i < n; i++)
        whole[i] = p[i];
    return v_load_i8(whole);
}

/* The first n lanes of w from element `at` on, without the scale of bytes. */
INLINE vec v_load_first_weight(const enum weight_type type, const void *w, int64_t at, int64_t n)
{
    switch (type) {
    case WEIGHT_BF16:
        return v_load_first_bf16((const uint16_t *)w + at, n);
    case WEIGHT_I8:
        return v_load_first_i8((const int8_t *)w + at, n);
    case WEIGHT_F32:
        break;
    }
    return v_load_first((const float *)w + at, n);
}

#endif
