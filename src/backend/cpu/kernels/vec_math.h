/*
 * vec_math.h: exp, and the pieces of the exact GELU, on vectors.
 *
 * exp: x = n ln 2 + r, |r| <= ln 2 / 2 (ln 2 in two parts, Cody & Waite 1980), a degree 5 minimax
 * polynomial for e^r (7.5e-8) and 2^n: within 2 units in the last place.  2^x likewise.
 * Phi(x) = (1 + erf(x / sqrt 2)) / 2 = 1/2 + x q(x^2) up to |x| = 5.5, where it is 0 or 1 to 2e-8;
 * q is a degree 15 minimax polynomial of 2 x^2 / 5.5^2 - 1 (1e-8), fitted for this file by weighted
 * least squares with Lawson's reweighting.  x Phi(x) is within 6.4e-7 of the double result; the C
 * library's erff gives 4.5e-7 in the same expression.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_VEC_MATH_H
#define EARSHOT_BACKEND_CPU_KERNELS_VEC_MATH_H

#include "backend/cpu/kernels/vec.h"

/* e^x; exactly 0 below -86 (so that no denormal arises), e^88 above 88; NaN stays. */
INLINE vec v_exp(vec x)
{
    vec y = v_max(v_set(-87.0f), v_min(v_set(88.0f), x)), n, r, e;

    n = v_round(y * v_set(1.44269504f));
    r = v_fma(n, v_set(-0.693359375f), y);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    e = v_fma(r, v_set(8.29765294e-3f), v_set(4.19153832e-2f));
    e = v_fma(e, r, v_set(1.66675746e-1f));
    e = v_fma(e, r, v_set(4.99988943e-1f));
    e = v_fma(e, r, v_set(9.99999702e-1f));
    e = v_fma(e, r, v_set(1.00000012f));
    return v_where_less(x, v_set(-86.0f), v_set(0), v_scale2(e, n));
}

/* 2^x for x <= 0; exactly 0 below -125; NaN stays. */
INLINE vec v_exp2_down(vec x)
{
    vec n = v_round(x), r = x - n, e;

    e = v_fma(r, v_set(1.3276469e-3f), v_set(9.67554096e-3f));
    e = v_fma(e, r, v_set(5.55071346e-2f));
    e = v_fma(e, r, v_set(2.40221202e-1f));
    e = v_fma(e, r, v_set(6.93146944e-1f));
    e = v_fma(e, r, v_set(1.00000012f));
    return v_scale2_unless_less(x, v_set(-125.0f), e, n);
}

/* The normal distribution function. */
INLINE vec v_phi(vec x)
{
    static const float coefficient[] = {
        -0.000228880628f, 0.000629141345f, -0.000557642954f, 0.000729632273f,
        -0.0023764926f,   0.00460772542f,  -0.00685093598f,  0.0102377236f,
        -0.0149871353f,   0.0203611087f,   -0.0260505602f,   0.0320708156f,
        -0.0387925953f,   0.0477375947f,   -0.0641723424f,   0.12855193f};
    const vec end = v_set(5.5f);
    vec y = v_max(v_set(-5.5f), v_min(end, x)), t, q;

    t = v_fma(y * y, v_set(2 / (5.5f * 5.5f)), v_set(-1));
    q = v_set(coefficient[0]);
    UNROLL for (int i = 1; i < 16; i++)
    {
        q = v_fma(q, t, v_set(coefficient[i]));
    }
    q = v_fma(q, y, v_set(0.5f));
    q = v_where_less(end, x, v_set(1), q);
    return v_where_less(x, v_set(-5.5f), v_set(0), q);
}

/* x Phi(x), Phi(x) given; -inf times 0 is avoided because GELU(-inf) = 0. */
INLINE vec v_gelu_of(vec x, vec phi)
{
    return v_max(v_set(-1e30f), x) * phi;
}

INLINE vec v_gelu(vec x)
{
    return v_gelu_of(x, v_phi(x));
}

/* y[i] = gelu(x[i]); y may be x. */
INLINE void v_gelu_run(int64_t n, const float *x, float *y)
{
    int64_t i = 0;

    for (; i + VW <= n; i += VW)
        v_store(y + i, v_gelu(v_load(x + i)));
    if (i < n)
        v_store_first(y + i, n - i, v_gelu(v_load_first(x + i, n - i)));
}

/* Phi(x) + x times the density, Phi(x) given */
INLINE vec v_gelu_slope(vec x, vec phi)
{
    vec density = v_set(0.398942280f) * v_exp(v_set(-0.5f) * x * x);

    return v_fma(v_max(v_set(-1e18f), v_min(v_set(1e18f), x)), density, phi);
}

#endif
