/* The Symphony forward pass (model/spec.py) in C, on one thread.
 *
 * Rows. A batch is any mix of tokens of any sequences (a prompt's chunk, single steps of others), each row with its own
 * cache and place in it; tokens of one sequence stand in order. No row's result depends on the other rows.
 *
 * Determinism. Every output element is one chain of separately rounded float32 multiplications and additions in index
 * order (compiled with -ffp-contract=off, no fast-math); vector lanes hold independent elements and never share a sum,
 * except in rms(), whose 16 partial sums are folded in a fixed tree. exp is computed here from basic operations. So the
 * result does not depend on the vector width: AVX-512, AVX2, SSE2, NEON and plain C give the same bits.
 *
 * Layout. A matrix [rows, k] is packed into panels of 16 rows, [panel][k][16], as float16 where the machine converts
 * it in hardware (exact: the stored weights are float16), else as float32. Keys lie transposed in pages of 64 tokens,
 * so that a dot product over the head runs across tokens in lanes.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define VL 16
#elif defined(__AVX__)
#define VL 8
#else
#define VL 4
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));

#if defined(__AVX512F__)
#include <immintrin.h>
#define HALF 1
typedef uint16_t weight;
INLINE vf load_weight(const weight *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#elif defined(__F16C__) && defined(__AVX__)
#include <immintrin.h>
#define HALF 1
typedef uint16_t weight;
INLINE vf load_weight(const weight *p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#elif defined(__aarch64__)
#include <arm_neon.h>
#define HALF 1
typedef uint16_t weight;
INLINE vf load_weight(const weight *p) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#else
#define HALF 0
typedef float weight;
INLINE vf load_weight(const weight *p) { vf v; memcpy(&v, p, sizeof v); return v; }
#endif

enum { PANEL = 16, PV = PANEL / VL, PAGE = 64, FOLD = 16, MODALITIES = 4, ABI = 6 };

INLINE vf load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vf fill(float x) { return x - (vf){0}; }

int symphony_abi(void) { return ABI; }
int symphony_half(void) { return HALF; }

/* ---- packing ---------------------------------------------------------------------------------------------------- */

/* Panels of `rows` rows of length k, missing rows zero. `source` is float16 bits where HALF, else float32. */
void symphony_pack(const weight *source, weight *packed, int64_t rows, int64_t k) {
    for (int64_t p = 0; p * PANEL < rows; p++)
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < PANEL; j++) {
                int64_t row = p * PANEL + j;
                packed[(p * k + i) * PANEL + j] = row < rows ? source[row * k + i] : 0;
            }
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

/* exp(x) for x <= 88, 0 below -87: round to a power of two, then the degree-6 polynomial of Cephes expf. */
INLINE vf vexp(vf x) {
    const vf low = fill(-87.0f);
    vi alive = x >= low;
    x = (vf)((vi)x & alive);
    vf n = x * 1.44269504088896341f;
    n = (n + 12582912.0f) - 12582912.0f; /* round to nearest: 1.5 * 2^23 */
    vf r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf y = fill(1.9875691500e-4f);
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    vi power = (__builtin_convertvector(n, vi) + 127) << 23;
    return (vf)((vi)(y * (vf)power) & alive);
}

static float exp1(float x) {
    vf v = vexp(fill(x));
    float out[VL];
    memcpy(out, &v, sizeof v);
    return out[0];
}

/* out = x / sqrt(mean(x^2) + eps) * w */
static void rms(const float *x, const float *w, float *out, int n, float eps) {
    float s[FOLD] = {0};
    for (int i = 0; i < n; i++) s[i % FOLD] += x[i] * x[i];
    for (int step = FOLD / 2; step; step /= 2)
        for (int i = 0; i < step; i++) s[i] += s[i + step];
    float scale = 1.0f / sqrtf(s[0] / (float)n + eps);
    for (int i = 0; i < n; i++) out[i] = x[i] * scale * w[i];
}

/* y[panel rows] (+)= W[panels] x over columns [from, to) of k, for n panels whose indices are in `which`. */
static void panels(const weight *W, const int *which, int n, int k, int from, int to, const float *x, float *y, int add) {
    int p = 0;
    for (; p + 4 <= n; p += 4) {
        const weight *w[4];
        vf s[4][PV];
        for (int q = 0; q < 4; q++) {
            w[q] = W + ((size_t)which[p + q] * k) * PANEL;
            for (int v = 0; v < PV; v++) s[q][v] = add ? load(y + (p + q) * PANEL + v * VL) : (vf){0};
        }
        for (int i = from; i < to; i++) {
            vf xv = fill(x[i]);
#pragma GCC unroll 4
            for (int q = 0; q < 4; q++)
#pragma GCC unroll 4
                for (int v = 0; v < PV; v++) s[q][v] += load_weight(w[q] + (size_t)i * PANEL + v * VL) * xv;
        }
        for (int q = 0; q < 4; q++)
            for (int v = 0; v < PV; v++) store(y + (p + q) * PANEL + v * VL, s[q][v]);
    }
    for (; p < n; p++) {
        const weight *w = W + ((size_t)which[p] * k) * PANEL;
        vf s[PV];
        for (int v = 0; v < PV; v++) s[v] = add ? load(y + p * PANEL + v * VL) : (vf){0};
        for (int i = from; i < to; i++) {
            vf xv = fill(x[i]);
            for (int v = 0; v < PV; v++) s[v] += load_weight(w + (size_t)i * PANEL + v * VL) * xv;
        }
        for (int v = 0; v < PV; v++) store(y + p * PANEL + v * VL, s[v]);
    }
}

/* Y[t] = W X[t] for `count` rows: panels outermost, so that four panels stay in the first-level cache for all rows. */
static void matmul(const weight *W, int rows, int k, const float *X, int64_t ldx, float *Y, int64_t ldy, int count) {
    int which[4], total = (rows + PANEL - 1) / PANEL;
    for (int p = 0; p < total; p += 4) {
        int n = total - p < 4 ? total - p : 4;
        for (int q = 0; q < n; q++) which[q] = p + q;
        for (int t = 0; t < count; t++) panels(W, which, n, k, 0, k, X + t * ldx, Y + t * ldy + p * PANEL, 0);
    }
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

typedef struct {
    const weight *gate, *up, *down;
} Ffn;

typedef struct {
    const float *attn_norm, *q_norm, *k_norm, *beta, *router, *router_bias, *ffn_norm;
    const weight *q, *k, *v, *o;
    Ffn shared, own[MODALITIES]; /* own[m] may be NULL for a modality that has not occurred */
    int64_t is_local, rank; /* rank: place among the layers of its kind (local or global) */
} Layer;

typedef struct {
    int64_t dim, layers, heads, kv_heads, head_dim, shared_heads, active_routed, ffn_shared, ffn_modality, window;
    float eps;
    int32_t sparse;
    const float *embed, *slot, *final_norm;
    const weight *head;
    const Layer *layer;
} Model;

typedef struct {
    int64_t count;                      /* rows */
    const int64_t *ids, *slots, *modalities, *index; /* index: the token's place in its own sequence */
    const float *cos, *sin, *scale;     /* [count, e/2], [count, e/2], [count] */
    float *const *const *pages;         /* per row: its sequence's pages, two per 64 tokens: [2 p] of the global, [2 p + 1]
                                           of the local layers, each [rank][kv_heads][keys e*64, values 64*e] */
    const uint8_t *const *seen;         /* per row: modality of every token of its sequence, this batch included */
    float *work;                        /* symphony_work() floats */
    float *const *logits;               /* per row: live_panels[row] * 16 floats */
    const int64_t *live_panel, *live_panels; /* per row: 0 panels = no logits wanted */
    float *states;                      /* NULL, or [layers][count][dim] for h after every layer */
    int64_t weight_bytes, heads_run, heads_skipped; /* out */
} Call;

static int64_t round_up(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

/* Floats of scratch memory a call of `count` rows needs whose longest sequence has `context` tokens. */
int64_t symphony_work(const Model *m, int64_t count, int64_t context) {
    int64_t inner = round_up(m->heads * m->head_dim, 64), kv = round_up(m->kv_heads * m->head_dim, 64);
    int64_t wide = round_up(m->ffn_shared > m->ffn_modality ? m->ffn_shared : m->ffn_modality, 64);
    int64_t d = round_up(m->dim, 64);
    return count * (3 * d + 2 * kv) + 3 * inner + 2 * count * wide + round_up(context, PAGE) + m->heads + 64;
}

INLINE void rotate(float *u, const float *cos, const float *sin, int e) {
    for (int i = 0; i < e / 2; i++) {
        float a = u[i], b = u[i + e / 2];
        u[i] = a * cos[i] - b * sin[i];
        u[i + e / 2] = b * cos[i] + a * sin[i];
    }
}

/* Equation 2g. */
static void route(const Layer *l, const Model *m, const float *a, int64_t modality, float *gate) {
    int routed = (int)(m->heads - m->shared_heads), active = (int)m->active_routed;
    float *p = gate + m->shared_heads, top = -INFINITY, total = 0.0f, kept = 0.0f;
    for (int h = 0; h < m->shared_heads; h++) gate[h] = 1.0f;
    for (int r = 0; r < routed; r++) {
        float s = 0.0f;
        for (int i = 0; i < m->dim; i++) s += l->router[(int64_t)r * m->dim + i] * a[i];
        p[r] = s + l->router_bias[modality * routed + r];
        if (p[r] > top) top = p[r];
    }
    for (int r = 0; r < routed; r++) total += p[r] = exp1(p[r] - top);
    for (int r = 0; r < routed; r++) p[r] /= total;
    uint64_t chosen = 0;
    for (int n = 0; n < active; n++) {
        int best = -1;
        for (int r = 0; r < routed; r++)
            if (!(chosen >> r & 1) && (best < 0 || p[r] > p[best])) best = r;
        chosen |= (uint64_t)1 << best;
        kept += p[best];
    }
    for (int r = 0; r < routed; r++) p[r] = chosen >> r & 1 ? (float)active * p[r] / kept : 0.0f;
}

/* Equations 2e and 2f for one head of one query at index i: out[e]. `s` holds the scores. */
INLINE void attend_e(const Model *m, const Layer *l, int head, const float *q, int64_t i, int modality, float c,
                     float *const *pages, const uint8_t *seen, float *s, float *out, const int e) {
    int group = head / (int)(m->heads / m->kv_heads);
    int64_t first = l->is_local && i - m->window + 1 > 0 ? i - m->window + 1 : 0;
    size_t offset = ((size_t)l->rank * m->kv_heads + group) * 2 * e * PAGE;
    const float *beta = l->beta + ((int64_t)head * MODALITIES + modality) * MODALITIES;
    int64_t page0 = first / PAGE, page1 = i / PAGE;
    float top = -INFINITY;
    for (int64_t p = page0; p <= page1; p++) {
        const float *keys = pages[2 * p + l->is_local] + offset;
        float *sp = s + (p - page0) * PAGE;
        vf acc[PAGE / VL];
        for (int v = 0; v < PAGE / VL; v++) acc[v] = (vf){0};
        for (int j = 0; j < e; j++) {
            vf qv = fill(q[j]);
            for (int v = 0; v < PAGE / VL; v++) acc[v] += load(keys + j * PAGE + v * VL) * qv;
        }
        for (int v = 0; v < PAGE / VL; v++) store(sp + v * VL, acc[v] * c);
        for (int j = 0; j < PAGE; j++) {
            int64_t at = p * PAGE + j;
            if (at < first || at > i) {
                sp[j] = -INFINITY;
            } else {
                sp[j] += beta[seen[at]];
                if (sp[j] > top) top = sp[j];
            }
        }
    }
    vf sum = {0}, o[256 / VL];
    for (int j = 0; j < e / VL; j++) o[j] = (vf){0};
    float lanes[PAGE] = {0};
    for (int64_t p = page0; p <= page1; p++) {
        const float *values = pages[2 * p + l->is_local] + offset + (size_t)e * PAGE;
        float *sp = s + (p - page0) * PAGE;
        for (int v = 0; v < PAGE / VL; v++) {
            sum = vexp(load(sp + v * VL) - top);
            store(sp + v * VL, sum);
            store(lanes + v * VL, load(lanes + v * VL) + sum);
        }
        int64_t from = p == page0 ? first % PAGE : 0, to = p == page1 ? i % PAGE + 1 : PAGE;
        for (int64_t j = from; j < to; j++) {
            vf w = fill(sp[j]);
            for (int x = 0; x < e / VL; x++) o[x] += w * load(values + j * e + x * VL);
        }
    }
    for (int step = PAGE / 2; step; step /= 2)
        for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
    for (int x = 0; x < e / VL; x++) store(out + x * VL, o[x] / lanes[0]);
}

/* The common head widths get their own copy, in which the compiler can keep the sums in registers. */
static void attend(const Model *m, const Layer *l, int head, const float *q, int64_t i, int modality, float c,
                   float *const *pages, const uint8_t *seen, float *s, float *out) {
    switch (m->head_dim) {
    case 16: attend_e(m, l, head, q, i, modality, c, pages, seen, s, out, 16); break;
    case 32: attend_e(m, l, head, q, i, modality, c, pages, seen, s, out, 32); break;
    case 64: attend_e(m, l, head, q, i, modality, c, pages, seen, s, out, 64); break;
    default: attend_e(m, l, head, q, i, modality, c, pages, seen, s, out, (int)m->head_dim);
    }
}

/* h += gated attention. `a`, `k`, `v`: [count, d], [count, kv e]; q, o: one row; gate: [heads]. */
static void attention(const Model *m, int li, Call *c, float *h, float *a, float *k, float *v, float *q, float *o,
                      float *y, float *gate, float *s) {
    const Layer *l = m->layer + li;
    int e = (int)m->head_dim, d = (int)m->dim, kvw = (int)(m->kv_heads * e), n = (int)c->count;
    int64_t ldk = round_up(kvw, 64), ldd = round_up(d, 64);
    int which[4 * 64], heads[64], per = e / PANEL;
    for (int t = 0; t < n; t++) rms(h + t * ldd, l->attn_norm, a + t * ldd, d, m->eps);
    matmul(l->k, kvw, d, a, ldd, k, ldk, n);
    matmul(l->v, kvw, d, a, ldd, v, ldk, n);
    c->weight_bytes += 2 * (int64_t)kvw * d * sizeof(weight);
    for (int t = 0; t < n; t++) {
        int64_t at = c->index[t];
        for (int g = 0; g < m->kv_heads; g++) {
            float *kg = k + t * ldk + g * e, *page = c->pages[t][2 * (at / PAGE) + l->is_local];
            page += ((size_t)l->rank * m->kv_heads + g) * 2 * e * PAGE;
            rms(kg, l->k_norm, kg, e, m->eps);
            if (l->is_local) rotate(kg, c->cos + t * (e / 2), c->sin + t * (e / 2), e);
            for (int j = 0; j < e; j++) page[j * PAGE + at % PAGE] = kg[j];
            memcpy(page + (size_t)e * PAGE + (at % PAGE) * e, v + t * ldk + g * e, e * sizeof(float));
        }
    }
    uint64_t touched = 0;
    float root = 1.0f / sqrtf((float)e);
    for (int t = 0; t < n; t++) {
        int64_t modality = c->modalities[t];
        route(l, m, a + t * ldd, modality, gate);
        int active = 0;
        for (int x = 0; x < m->heads; x++)
            if (!m->sparse || gate[x] != 0.0f) {
                for (int p = 0; p < per; p++) which[active * per + p] = x * per + p;
                heads[active++] = x;
                touched |= (uint64_t)1 << x;
            }
        panels(l->q, which, active * per, d, 0, d, a + t * ldd, q, 0);
        float scale = l->is_local ? root : c->scale[t] * root;
        for (int x = 0; x < active; x++) {
            float *qx = q + x * e;
            rms(qx, l->q_norm, qx, e, m->eps);
            if (l->is_local) rotate(qx, c->cos + t * (e / 2), c->sin + t * (e / 2), e);
            attend(m, l, heads[x], qx, c->index[t], (int)modality, scale, c->pages[t], c->seen[t], s, o + heads[x] * e);
            for (int j = 0; j < e; j++) o[heads[x] * e + j] *= gate[heads[x]];
        }
        int total = d / PANEL;
        for (int p = 0; p < total; p += 4) {
            int group[4], np = total - p < 4 ? total - p : 4;
            for (int x = 0; x < np; x++) group[x] = p + x;
            for (int x = 0; x < active; x++) /* the columns of W_o of the active heads only, in head order */
                panels(l->o, group, np, (int)m->heads * e, heads[x] * e, heads[x] * e + e, o, y + p * PANEL, x > 0);
        }
        for (int j = 0; j < d; j++) h[t * ldd + j] += y[j];
        c->heads_run += active;
        c->heads_skipped += m->heads - active;
    }
    c->weight_bytes += (int64_t)__builtin_popcountll(touched) * 2 * e * d * sizeof(weight);
}

/* h[rows] += W_down(silu(W_gate f) * (W_up f)) for the rows of `which` (NULL: all), times `factor`. */
static void swiglu(const Model *m, const Ffn *w, int width, Call *c, const float *f, float *h, float *u, float *g, float *y,
                   const uint8_t *wanted, float absent) {
    int d = (int)m->dim, n = (int)c->count;
    int64_t ldd = round_up(d, 64), ldw = round_up(width, 64);
    int which[4];
    for (int p = 0; p * PANEL < width; p += 4) {
        int np = round_up(width, PANEL) / PANEL - p < 4 ? (int)(round_up(width, PANEL) / PANEL) - p : 4;
        for (int q = 0; q < np; q++) which[q] = p + q;
        for (int t = 0; t < n; t++) {
            if (m->sparse && wanted && !wanted[t]) continue;
            panels(w->gate, which, np, d, 0, d, f + t * ldd, g + t * ldw + p * PANEL, 0);
            panels(w->up, which, np, d, 0, d, f + t * ldd, u + t * ldw + p * PANEL, 0);
        }
    }
    for (int t = 0; t < n; t++) {
        if (m->sparse && wanted && !wanted[t]) continue;
        for (int j = 0; j < width; j += VL) { /* widths are multiples of PANEL */
            vf x = load(g + t * ldw + j), clipped = (vf)((vi)x & (x > fill(-87.0f)));
            vf y1 = x / (1.0f + vexp(-clipped));
            y1 = (vf)((vi)y1 & (x > fill(-87.0f))); /* silu(-87) is -1e-36: zero */
            store(u + t * ldw + j, y1 * load(u + t * ldw + j));
        }
    }
    for (int p = 0; p * PANEL < d; p += 4) {
        int np = d / PANEL - p < 4 ? d / PANEL - p : 4;
        for (int q = 0; q < np; q++) which[q] = p + q;
        for (int t = 0; t < n; t++) {
            if (m->sparse && wanted && !wanted[t]) continue;
            float factor = wanted && !wanted[t] ? absent : 1.0f;
            panels(w->down, which, np, width, 0, width, u + t * ldw, y, 0);
            for (int j = 0; j < np * PANEL; j++) h[t * ldd + p * PANEL + j] += factor * y[j];
        }
    }
    c->weight_bytes += 3 * (int64_t)width * d * sizeof(weight);
}

/* Append rows (at most 256) to their caches and write the logits that are wanted. Returns 0, or -1 for sizes this build cannot hold. */
int symphony_forward(const Model *m, Call *c) {
    int d = (int)m->dim, e = (int)m->head_dim, n = (int)c->count;
    if (n < 1 || n > 256 || d % PANEL || e % PANEL || e > 256 || m->heads > 64 || m->heads * e / PANEL > 4 * 64 ||
        m->ffn_shared % PANEL || m->ffn_modality % PANEL || m->active_routed > m->heads - m->shared_heads)
        return -1;
    int64_t ldd = round_up(d, 64), ldk = round_up(m->kv_heads * e, 64), inner = round_up(m->heads * e, 64);
    int64_t wide = round_up(m->ffn_shared > m->ffn_modality ? m->ffn_shared : m->ffn_modality, 64);
    float *h = c->work, *a = h + n * ldd, *y = a + n * ldd, *k = y + n * ldd, *v = k + n * ldk, *q = v + n * ldk;
    float *o = q + inner, *u = o + 2 * inner, *g = u + n * wide, *gate = g + n * wide, *s = gate + m->heads;
    uint8_t wanted[256];
    c->weight_bytes = c->heads_run = c->heads_skipped = 0;
    for (int t = 0; t < n; t++) {
        const float *x = m->embed + c->ids[t] * d, *z = m->slot + c->slots[t] * d;
        for (int j = 0; j < d; j++) h[t * ldd + j] = x[j] + z[j];
    }
    for (int l = 0; l < m->layers; l++) {
        const Layer *layer = m->layer + l;
        attention(m, l, c, h, a, k, v, q, o, y, gate, s);
        for (int t = 0; t < n; t++) rms(h + t * ldd, layer->ffn_norm, a + t * ldd, d, m->eps);
        swiglu(m, &layer->shared, (int)m->ffn_shared, c, a, h, u, g, y, NULL, 1.0f);
        for (int x = 0; x < MODALITIES; x++) {
            int any = 0;
            for (int t = 0; t < n; t++) any |= wanted[t] = c->modalities[t] == x;
            if (any || !m->sparse) swiglu(m, &layer->own[x], (int)m->ffn_modality, c, a, h, u, g, y, wanted, 0.0f);
        }
        for (int t = 0; c->states && t < n; t++)
            for (int j = 0; j < d; j++) c->states[((int64_t)l * n + t) * d + j] = h[t * ldd + j];
    }
    for (int t = 0; t < n; t++) {
        if (!c->live_panels[t]) continue;
        rms(h + t * ldd, m->final_norm, a, d, m->eps);
        matmul(m->head + (size_t)c->live_panel[t] * d * PANEL, (int)c->live_panels[t] * PANEL, d, a, ldd, c->logits[t], 0, 1);
        c->weight_bytes += c->live_panels[t] * PANEL * d * (int64_t)sizeof(weight);
    }
    return 0;
}
