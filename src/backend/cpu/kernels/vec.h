/*
 * vec.h: one vector of floats, as wide as the instruction set that this file is compiled for.
 *
 * VW lanes, and a vector of 64-bit words of the same size.  +, - and * work on a vec as they stand
 * (GCC and clang vector types); what has no operator is a v_ function, written for AVX-512, for
 * AVX2 + FMA, and with 4-lane loops that both compilers turn into SSE or NEON.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_VEC_H
#define EARSHOT_BACKEND_CPU_KERNELS_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))

/* Before a loop of known length that must become straight code. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Floats of a cache line, as most processors have it. */
#define LINE_FLOATS 16
/* Asks for the lines of p[0, n), to be in the second-level cache soon; p may be anywhere. */
INLINE void v_ask(const float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i += LINE_FLOATS)
        __builtin_prefetch(p + i, 0, 2);
}

#if defined(__AVX512F__)

#include <immintrin.h>

#define VW 16
typedef __m512 vec;
typedef uint64_t words __attribute__((vector_size(64)));

INLINE __mmask16 v_first(int64_t n)
{
    return (__mmask16)((1u << n) - 1);
}

INLINE vec v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

/* The first n lanes, 0 in the others. */
INLINE vec v_load_first(const float *p, int64_t n)
{
    /* A whole vector is the usual case, and the masked forms do not forward stores to loads. */
    if (n >= VW)
        return v_load(p);
    return _mm512_maskz_loadu_ps(v_first(n), p);
}

INLINE void v_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
}

INLINE void v_store_first(float *p, int64_t n, vec x)
{
    if (n >= VW)
        v_store(p, x);
    else
        _mm512_mask_storeu_ps(p, v_first(n), x);
}

INLINE vec v_set(float x)
{
    return _mm512_set1_ps(x);
}

/* x y + z, rounded once */
INLINE vec v_fma(vec x, vec y, vec z)
{
    return _mm512_fmadd_ps(x, y, z);
}

/* The second where either is NaN. */
INLINE vec v_max(vec x, vec y)
{
    return _mm512_max_ps(x, y);
}

INLINE vec v_min(vec x, vec y)
{
    return _mm512_min_ps(x, y);
}

INLINE vec v_round(vec x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* x 2^n for whole n in [-126, 127] and a result that is not denormal */
INLINE vec v_scale2(vec x, vec n)
{
    return _mm512_scalef_ps(x, n);
}

/* a < b ? x : y */
INLINE vec v_where_less(vec a, vec b, vec x, vec y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

/* p[lane] == r ? x : y */
INLINE vec v_where_equal(const int32_t *p, int32_t r, vec x, vec y)
{
    __mmask16 equal = _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32(r));

    return _mm512_mask_blend_ps(equal, y, x);
}

INLINE float v_sum(vec x)
{
    return _mm512_reduce_add_ps(x);
}

INLINE float v_top(vec x)
{
    return _mm512_reduce_max_ps(x);
}

/* a < b ? 0 : x 2^n; unlike v_scale2 any n will do where a < b */
INLINE vec v_scale2_unless_less(vec a, vec b, vec x, vec n)
{
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), x, n);
}

/* Lane i of row j becomes lane j of row i. */
INLINE void v_transpose(vec row[VW])
{
    vec t[VW];

    UNROLL for (int i = 0; i < 16; i += 2)
    {
        t[i] = _mm512_unpacklo_ps(row[i], row[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(row[i], row[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
    {
        UNROLL for (int j = 0; j < 2; j++)
        {
            __m512d x = _mm512_castps_pd(t[i + j]), y = _mm512_castps_pd(t[i + j + 2]);

            row[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            row[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    }
    /* row[4 a + c] holds columns c, c + 4, ... (one a quarter) of rows 4 a .. 4 a + 3 */
    UNROLL for (int c = 0; c < 4; c++)
    {
        t[c] = _mm512_shuffle_f32x4(row[c], row[c + 4], 0x88);
        t[c + 4] = _mm512_shuffle_f32x4(row[c], row[c + 4], 0xdd);
        t[c + 8] = _mm512_shuffle_f32x4(row[c + 8], row[c + 12], 0x88);
        t[c + 12] = _mm512_shuffle_f32x4(row[c + 8], row[c + 12], 0xdd);
    }
    UNROLL for (int c = 0; c < 4; c++)
    {
        row[c] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0x88);
        row[c + 8] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0xdd);
        row[c + 4] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0x88);
        row[c + 12] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0xdd);
    }
}

/* Products of the low halves of 64-bit lanes; the high halves may hold anything. */
INLINE words w_multiply_low(words x, words y)
{
    return (words)_mm512_mul_epu32((__m512i)x, (__m512i)y);
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

#define VW 8
typedef __m256 vec;
typedef uint64_t words __attribute__((vector_size(32)));

INLINE __m256i v_first(int64_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

INLINE vec v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

INLINE vec v_load_first(const float *p, int64_t n)
{
    if (n >= VW)
        return v_load(p);
    return _mm256_maskload_ps(p, v_first(n));
}

INLINE void v_store(float *p, vec x)
{
    _mm256_storeu_ps(p, x);
}

INLINE void v_store_first(float *p, int64_t n, vec x)
{
    if (n >= VW)
        v_store(p, x);
    else
        _mm256_maskstore_ps(p, v_first(n), x);
}

INLINE vec v_set(float x)
{
    return _mm256_set1_ps(x);
}

INLINE vec v_fma(vec x, vec y, vec z)
{
    return _mm256_fmadd_ps(x, y, z);
}

INLINE vec v_max(vec x, vec y)
{
    return _mm256_max_ps(x, y);
}

INLINE vec v_min(vec x, vec y)
{
    return _mm256_min_ps(x, y);
}

INLINE vec v_round(vec x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE vec v_scale2(vec x, vec n)
{
    __m256i bits = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);

    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), bits));
}

INLINE vec v_where_less(vec a, vec b, vec x, vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

INLINE vec v_where_equal(const int32_t *p, int32_t r, vec x, vec y)
{
    __m256i equal =
        _mm256_cmpeq_epi32(_mm256_loadu_si256((const __m256i *)p), _mm256_set1_epi32(r));

    return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(equal));
}

INLINE float v_sum(vec x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

INLINE float v_top(vec x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

INLINE vec v_scale2_unless_less(vec a, vec b, vec x, vec n)
{
    __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    vec y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), power));

    return _mm256_and_ps(y, _mm256_cmp_ps(a, b, _CMP_NLT_UQ));
}

INLINE void v_transpose(vec row[VW])
{
    vec t[VW];

    UNROLL for (int i = 0; i < 8; i += 2)
    {
        t[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4)
    {
        row[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        row[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        row[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        row[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        t[i] = _mm256_permute2f128_ps(row[i], row[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(row[i], row[i + 4], 0x31);
    }
    UNROLL for (int i = 0; i < 8; i++)
    {
        row[i] = t[i];
    }
}

/* Products of the low halves of 64-bit lanes; the high halves may hold anything. */
INLINE words w_multiply_low(words x, words y)
{
    return (words)_mm256_mul_epu32((__m256i)x, (__m256i)y);
}

#else

#define VW 4
typedef float vec __attribute__((vector_size(16)));
typedef uint64_t words __attribute__((vector_size(16)));

INLINE vec v_load(const float *p)
{
    vec x;

    memcpy(&x, p, sizeof x);
    return x;
}

INLINE vec v_load_first(const float *p, int64_t n)
{
    vec x = {0};

    if (n >= VW)
        return v_load(p);
    for (int64_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
}

INLINE void v_store(float *p, vec x)
{
    memcpy(p, &x, sizeof x);
}

INLINE void v_store_first(float *p, int64_t n, vec x)
{
    if (n >= VW) {
        v_store(p, x);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        p[i] = x[i];
}

INLINE vec v_set(float x)
{
    return (vec){x, x, x, x};
}

INLINE vec v_fma(vec x, vec y, vec z)
{
    return x * y + z;
}

INLINE vec v_max(vec x, vec y)
{
    for (int i = 0; i < VW; i++)
        y[i] = x[i] > y[i] ? x[i] : y[i];
    return y;
}

INLINE vec v_min(vec x, vec y)
{
    for (int i = 0; i < VW; i++)
        y[i] = x[i] < y[i] ? x[i] : y[i];
    return y;
}

/* |x| < 2^22: adding 1.5 2^23 pushes the fraction out. */
INLINE vec v_round(vec x)
{
    vec big = x + v_set(12582912.0f);

    return big - v_set(12582912.0f);
}

INLINE vec v_scale2(vec x, vec n)
{
    for (int i = 0; i < VW; i++) {
        union {
            float f;
            uint32_t u;
        } power = {.u = (uint32_t)((int32_t)n[i] + 127) << 23};

        x[i] *= power.f;
    }
    return x;
}

INLINE vec v_where_less(vec a, vec b, vec x, vec y)
{
    for (int i = 0; i < VW; i++)
        y[i] = a[i] < b[i] ? x[i] : y[i];
    return y;
}

INLINE vec v_where_equal(const int32_t *p, int32_t r, vec x, vec y)
{
    for (int i = 0; i < VW; i++)
        y[i] = p[i] == r ? x[i] : y[i];
    return y;
}

INLINE float v_sum(vec x)
{
    return (x[0] + x[2]) + (x[1] + x[3]);
}

INLINE float v_top(vec x)
{
    float a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];

    return a > b ? a : b;
}

INLINE vec v_scale2_unless_less(vec a, vec b, vec x, vec n)
{
    for (int i = 0; i < VW; i++)
        n[i] = a[i] < b[i] ? 0 : n[i];
    return v_where_less(a, b, v_set(0), v_scale2(x, n));
}

INLINE void v_transpose(vec row[VW])
{
    for (int i = 0; i < VW; i++)
        for (int j = 0; j < i; j++) {
            float x = row[i][j];

            row[i][j] = row[j][i];
            row[j][i] = x;
        }
}

INLINE words w_multiply_low(words x, words y)
{
    return (x & 0xFFFFFFFFu) * (y & 0xFFFFFFFFu);
}

#endif

#endif
