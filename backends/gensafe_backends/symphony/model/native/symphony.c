/* The Symphony forward pass (model/spec.py) in C, on one thread.
 *
 * Rows. A batch is any mix of tokens of any sequences (a prompt's chunk, single steps of others), each row with its own
 * cache and place in it; tokens of one sequence stand in order. No row's result depends on the other rows.
 *
 * Determinism. Every output element is one chain of separately rounded float32 multiplications and additions in index
 * order (compiled with -ffp-contract=off, no fast-math); vector lanes hold independent elements and never share a sum.
 * Where a sum is split (16 parts in rms(), 4 in the values of a page of keys), its parts are folded in a fixed tree. exp
 * is computed here from basic operations. So the result does not depend on the vector width: AVX-512, AVX2, SSE2, NEON
 * and plain C give the same bits; nor on which rows are read together, for rows share what is read, never a sum.
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

enum { PANEL = 16, PV = PANEL / VL, PAGE = 64, FOLD = 16, MODALITIES = 4, MOST = 256, ABI = 7 };
enum { ABREAST = 4 }; /* heads that go over their common keys together */
enum { ROWS = VL == 16 ? 4 : 1 }; /* rows, or queries, that one pass over weights, or keys, serves: what registers hold */

INLINE vf load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vf fill(float x) { return x - (vf){0}; }
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }

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

/* y[r] (+)= W[panels] x[r] over columns [from, to) of k for np panels and nr rows, both known to the compiler, so that
 * the np * nr sums stay in registers and a weight that was read serves all rows. */
INLINE void block(const weight *W, const int *which, const int np, const int nr, int k, int from, int to,
                  const float *const *x, float *const *y, int add) {
    const weight *w[4];
    vf s[ROWS][4][PV];
    for (int q = 0; q < np; q++) w[q] = W + ((size_t)which[q] * k) * PANEL;
    for (int r = 0; r < nr; r++)
        for (int q = 0; q < np; q++)
            for (int v = 0; v < PV; v++) s[r][q][v] = add ? load(y[r] + which[q] * PANEL + v * VL) : (vf){0};
    for (int i = from; i < to; i++)
#pragma GCC unroll 4
        for (int q = 0; q < np; q++)
#pragma GCC unroll 4
            for (int v = 0; v < PV; v++) {
                vf wv = load_weight(w[q] + (size_t)i * PANEL + v * VL);
#pragma GCC unroll 4
                for (int r = 0; r < nr; r++) s[r][q][v] += wv * fill(x[r][i]);
            }
    for (int r = 0; r < nr; r++)
        for (int q = 0; q < np; q++)
            for (int v = 0; v < PV; v++) store(y[r] + which[q] * PANEL + v * VL, s[r][q][v]);
}

/* Y[t] (+)= W[panels] X[t] over columns [from, to) for the rows t in `rows` (NULL: 0 .. count - 1). Panels are outermost,
 * so that four of them stay in the first-level cache for all rows. */
static void matmul(const weight *W, const int *which, int panels, int k, int from, int to, const float *X, int64_t ldx,
                   float *Y, int64_t ldy, const int *rows, int count, int add) {
    for (int p = 0; p < panels;) {
        int np = panels - p < 4 ? 1 : 4, t = 0;
        const float *x[ROWS];
        float *y[ROWS];
        while (t < count) {
            int nr = count - t < ROWS ? 1 : ROWS;
            for (int r = 0; r < nr; r++) {
                int row = rows ? rows[t + r] : t + r;
                x[r] = X + row * ldx, y[r] = Y + row * ldy;
            }
            if (np == 4 && nr == 1) block(W, which + p, 4, 1, k, from, to, x, y, add);
            else if (np == 4) block(W, which + p, 4, ROWS, k, from, to, x, y, add);
            else if (nr == 1) block(W, which + p, 1, 1, k, from, to, x, y, add);
            else block(W, which + p, 1, ROWS, k, from, to, x, y, add);
            t += nr;
        }
        p += np;
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

/* Floats of scratch memory a call of `count` rows needs. */
int64_t symphony_work(const Model *m, int64_t count) {
    int64_t inner = round_up(m->heads * m->head_dim, 64), kv = round_up(m->kv_heads * m->head_dim, 64);
    int64_t wide = round_up(m->ffn_shared > m->ffn_modality ? m->ffn_shared : m->ffn_modality, 64);
    return count * (3 * round_up(m->dim, 64) + 2 * kv + 2 * inner + 2 * wide + m->heads) + 64;
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

/* One query of one head on its way over the pages of its sequence, with a running maximum (Milakov and Gimelshein 2018).
 * A page adds to a sum in one way only, whichever rows are read together. */
typedef struct {
    const float *q;
    float *out, c, top, sum[FOLD];
    int64_t first, last; /* the keys it sees */
    int bias;            /* which row of biases: of its head and modality */
} Query;

/* n queries (1 or ROWS) over one page whose first key has index `start`: equations 2e and 2f. */
INLINE void over_page(Query *z, const int n, const float *keys, const float *values, const float (*bias)[PAGE],
                      int64_t start, const int e) {
    vf s[ROWS][PAGE / VL];
    float w[ROWS][PAGE];
    for (int x = 0; x < n; x++)
        for (int v = 0; v < PAGE / VL; v++) s[x][v] = (vf){0};
    for (int j = 0; j < e; j++)
#pragma GCC unroll 4
        for (int v = 0; v < PAGE / VL; v++) {
            vf key = load(keys + j * PAGE + v * VL);
#pragma GCC unroll 4
            for (int x = 0; x < n; x++) s[x][v] += key * fill(z[x].q[j]);
        }
    for (int x = 0; x < n; x++) {
        const float *b = bias[z[x].bias];
        int64_t from = z[x].first - start, to = z[x].last - start;
        for (int v = 0; v < PAGE / VL; v++) s[x][v] = s[x][v] * z[x].c + load(b + v * VL);
        if (from > 0 || to < PAGE - 1)
            for (int v = 0; v < PAGE / VL; v++) {
                vi at;
                for (int j = 0; j < VL; j++) at[j] = v * VL + j;
                s[x][v] = choose((at >= (int32_t)(from > 0 ? from : 0)) & (at <= (int32_t)(to < PAGE ? to : PAGE)),
                                 s[x][v], fill(-INFINITY));
            }
        vf peaks = s[x][0];
        for (int v = 1; v < PAGE / VL; v++) peaks = choose(s[x][v] > peaks, s[x][v], peaks);
        float top = z[x].top;
        for (int j = 0; j < VL; j++) top = peaks[j] > top ? peaks[j] : top;
        if (top > z[x].top) { /* else the factor would be one */
            float shrink = exp1(z[x].top - top);
            for (int j = 0; j < FOLD; j++) z[x].sum[j] *= shrink;
            for (int j = 0; j < e; j++) z[x].out[j] *= shrink;
            z[x].top = top;
        }
        for (int v = 0; v < PAGE / VL; v++) {
            s[x][v] = vexp(s[x][v] - top);
            store(w[x] + v * VL, s[x][v]);
        }
        for (int v = 0; v < PV; v++)
            store(z[x].sum + v * VL, load(z[x].sum + v * VL) +
                                         ((s[x][v] + s[x][PV + v]) + (s[x][2 * PV + v] + s[x][3 * PV + v])));
    }
    for (int column = 0; column < e; column += VL) { /* four sums over every fourth key: additions need not wait */
        vf o[ROWS][4];
        for (int x = 0; x < n; x++)
            for (int r = 0; r < 4; r++) o[x][r] = (vf){0};
        for (int j = 0; j < PAGE; j += 4)
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) {
                vf value = load(values + (j + r) * e + column);
#pragma GCC unroll 4
                for (int x = 0; x < n; x++) o[x][r] += value * fill(w[x][j + r]);
            }
        for (int x = 0; x < n; x++)
            store(z[x].out + column, load(z[x].out + column) + ((o[x][0] + o[x][1]) + (o[x][2] + o[x][3])));
    }
}

/* The `count` queries of one sequence, in its order, of the heads from `head` on that share keys. Pages are outermost: one
 * that was read serves them all. */
static void attend(const Model *m, const Layer *l, int head, Query *query, int count, float *const *pages,
                   const uint8_t *seen) {
    int e = (int)m->head_dim, group = head / (int)(m->heads / m->kv_heads), from = 0, to = 0;
    size_t offset = ((size_t)l->rank * m->kv_heads + group) * 2 * e * PAGE;
    const float *beta = l->beta + (int64_t)head * MODALITIES * MODALITIES;
    float bias[ABREAST * MODALITIES][PAGE];
    for (int64_t p = query[0].first / PAGE; p <= query[count - 1].last / PAGE; p++) {
        const float *page = pages[2 * p + l->is_local] + offset;
        while (query[from].last < p * PAGE) from++;
        while (to < count && query[to].first < (p + 1) * PAGE) to++;
        for (int x = from, ready = 0; x < to; x++) {
            int own = query[x].bias;
            for (int j = 0; j < PAGE && !(ready >> own & 1); j++)
                bias[own][j] = beta[own * MODALITIES + seen[p * PAGE + j]];
            ready |= 1 << own;
        }
        for (int x = from; x < to;)
            if (to - x < ROWS) over_page(query + x++, 1, page, page + (size_t)e * PAGE, bias, p * PAGE, e);
            else {
                over_page(query + x, ROWS, page, page + (size_t)e * PAGE, bias, p * PAGE, e);
                x += ROWS;
            }
    }
    for (int x = 0; x < count; x++) {
        float *sum = query[x].sum;
        for (int step = FOLD / 2; step; step /= 2)
            for (int j = 0; j < step; j++) sum[j] += sum[j + step];
        for (int j = 0; j < e; j++) query[x].out[j] /= sum[0];
    }
}

/* Keys and values of all rows, into their pages (equations 2b to 2d). */
static void remember(const Model *m, const Layer *l, const Call *c, const float *a, float *k, float *v, const int *all) {
    int e = (int)m->head_dim, d = (int)m->dim, width = (int)(m->kv_heads * e), n = (int)c->count;
    int64_t ldk = round_up(width, 64), ldd = round_up(d, 64);
    matmul(l->k, all, width / PANEL, d, 0, d, a, ldd, k, ldk, NULL, n, 0);
    matmul(l->v, all, width / PANEL, d, 0, d, a, ldd, v, ldk, NULL, n, 0);
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
}

/* Queries of four rows at a time, of the heads that any of them uses (equations 2b and 2c); returns the heads used. */
static uint64_t ask(const Model *m, const Layer *l, const Call *c, const float *a, const float *gate, float *q) {
    int e = (int)m->head_dim, d = (int)m->dim, n = (int)c->count, per = e / PANEL, which[4 * 64];
    int64_t ldd = round_up(d, 64), ldi = round_up(m->heads * e, 64);
    uint64_t touched = 0;
    for (int t = 0; t < n; t += 4) {
        int rows = n - t < 4 ? n - t : 4, panels = 0;
        for (int x = 0; x < m->heads; x++) {
            int used = !m->sparse;
            for (int r = 0; r < rows; r++) used |= gate[(t + r) * m->heads + x] != 0.0f;
            for (int p = 0; used && p < per; p++) which[panels++] = x * per + p;
            touched |= (uint64_t)used << x;
        }
        matmul(l->q, which, panels, d, 0, d, a + t * ldd, ldd, q + t * ldi, ldi, NULL, rows, 0);
    }
    return touched;
}

/* h += gated attention. a, k, v, q, o, y: scratch of all rows; gate: [count, heads]; all: 0, 1, 2 ... */
static void attention(const Model *m, int li, Call *c, float *h, float *a, float *k, float *v, float *q, float *o,
                      float *y, float *gate, const int *all) {
    const Layer *l = m->layer + li;
    int e = (int)m->head_dim, d = (int)m->dim, n = (int)c->count;
    int64_t ldd = round_up(d, 64), ldi = round_up(m->heads * e, 64);
    Query query[MOST * ABREAST];
    float root = 1.0f / sqrtf((float)e);
    for (int t = 0; t < n; t++) {
        rms(h + t * ldd, l->attn_norm, a + t * ldd, d, m->eps);
        route(l, m, a + t * ldd, c->modalities[t], gate + t * m->heads);
    }
    remember(m, l, c, a, k, v, all);
    uint64_t touched = ask(m, l, c, a, gate, q);
    memset(o, 0, n * ldi * sizeof(float)); /* a head that is off adds zeros below */
    int share = (int)(m->heads / m->kv_heads);
    for (int first = 0, end; first < m->heads; first = end) { /* heads that share keys, at most ABREAST */
        end = (first / share + 1) * share;
        if (end - first > ABREAST) end = first + ABREAST;
        for (int t = 0, next; t < n; t = next) { /* the rows of one sequence */
            int count = 0;
            for (next = t; next < n && c->pages[next] == c->pages[t]; next++)
                for (int x = first; x < end; x++) {
                    float *qx = q + next * ldi + x * e;
                    int used = !m->sparse || gate[next * m->heads + x] != 0.0f;
                    int64_t at = c->index[next];
                    c->heads_run += used;
                    c->heads_skipped += !used;
                    if (!used) continue;
                    rms(qx, l->q_norm, qx, e, m->eps);
                    if (l->is_local) rotate(qx, c->cos + next * (e / 2), c->sin + next * (e / 2), e);
                    query[count++] = (Query){.q = qx, .out = o + next * ldi + x * e, .top = -INFINITY,
                                             .c = l->is_local ? root : c->scale[next] * root,
                                             .first = l->is_local && at >= m->window ? at - m->window + 1 : 0, .last = at,
                                             .bias = (x - first) * MODALITIES + (int)c->modalities[next]};
                }
            if (count) attend(m, l, first, query, count, c->pages[t], c->seen[t]);
        }
    }
    for (int t = 0; t < n; t++)
        for (int x = 0; x < m->heads; x++)
            for (int j = x * e; j < x * e + e; j++) o[t * ldi + j] *= gate[t * m->heads + x];
    memset(y, 0, n * ldd * sizeof(float));
    for (int x = 0; x < m->heads; x++) /* the columns of W_o of the heads that are used, in head order */
        if (touched >> x & 1)
            matmul(l->o, all, d / PANEL, (int)m->heads * e, x * e, x * e + e, o, ldi, y, ldd, NULL, n, 1);
    for (int t = 0; t < n; t++)
        for (int j = 0; j < d; j++) h[t * ldd + j] += y[t * ldd + j];
    c->weight_bytes += 2 * d * ((int64_t)__builtin_popcountll(touched) + m->kv_heads) * e * sizeof(weight);
}

/* h[t] += W_down(silu(W_gate f) * (W_up f)) for the rows t in `rows`, times factor[t]. */
static void swiglu(const Model *m, const Ffn *w, int width, Call *c, const float *f, float *h, float *u, float *g, float *y,
                   const int *rows, int count, const float *factor, const int *all) {
    int d = (int)m->dim;
    int64_t ldd = round_up(d, 64), ldw = round_up(width, 64);
    matmul(w->gate, all, width / PANEL, d, 0, d, f, ldd, g, ldw, rows, count, 0);
    matmul(w->up, all, width / PANEL, d, 0, d, f, ldd, u, ldw, rows, count, 0);
    for (int i = 0; i < count; i++) {
        float *up = u + rows[i] * ldw, *gated = g + rows[i] * ldw;
        for (int j = 0; j < width; j += VL) { /* widths are multiples of PANEL */
            vf x = load(gated + j), clipped = (vf)((vi)x & (x > fill(-87.0f)));
            vf y1 = x / (1.0f + vexp(-clipped));
            y1 = (vf)((vi)y1 & (x > fill(-87.0f))); /* silu(-87) is -1e-36: zero */
            store(up + j, y1 * load(up + j));
        }
    }
    matmul(w->down, all, d / PANEL, width, 0, width, u, ldw, y, ldd, rows, count, 0);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < d; j++) h[rows[i] * ldd + j] += factor[rows[i]] * y[rows[i] * ldd + j];
    c->weight_bytes += 3 * (int64_t)width * d * sizeof(weight);
}

/* Append rows (at most MOST) to their caches and write the logits that are wanted. Returns 0, or -1 for sizes this build cannot hold. */
int symphony_forward(const Model *m, Call *c) {
    int d = (int)m->dim, e = (int)m->head_dim, n = (int)c->count;
    if (n < 1 || n > MOST || d % PANEL || e % PANEL || e > 256 || m->heads > 64 || m->heads * e / PANEL > 4 * 64 ||
        m->ffn_shared % PANEL || m->ffn_modality % PANEL || m->active_routed > m->heads - m->shared_heads)
        return -1;
    int64_t ldd = round_up(d, 64), ldk = round_up(m->kv_heads * e, 64), inner = round_up(m->heads * e, 64);
    int64_t wide = round_up(m->ffn_shared > m->ffn_modality ? m->ffn_shared : m->ffn_modality, 64);
    float *h = c->work, *a = h + n * ldd, *y = a + n * ldd, *k = y + n * ldd, *v = k + n * ldk, *q = v + n * ldk;
    float *o = q + n * inner, *u = o + n * inner, *g = u + n * wide, *gate = g + n * wide;
    float factor[MOST];
    int rows[MOST], all[MOST];
    c->weight_bytes = c->heads_run = c->heads_skipped = 0;
    for (int i = 0; i < MOST; i++) all[i] = i;
    for (int t = 0; t < n; t++) {
        const float *x = m->embed + c->ids[t] * d, *z = m->slot + c->slots[t] * d;
        for (int j = 0; j < d; j++) h[t * ldd + j] = x[j] + z[j];
    }
    for (int l = 0; l < m->layers; l++) {
        const Layer *layer = m->layer + l;
        attention(m, l, c, h, a, k, v, q, o, y, gate, all);
        for (int t = 0; t < n; t++) rms(h + t * ldd, layer->ffn_norm, a + t * ldd, d, m->eps), factor[t] = 1.0f;
        swiglu(m, &layer->shared, (int)m->ffn_shared, c, a, h, u, g, y, all, n, factor, all);
        for (int x = 0; x < MODALITIES; x++) {
            int count = 0;
            for (int t = 0; t < n; t++) {
                factor[t] = c->modalities[t] == x ? 1.0f : 0.0f;
                if (!m->sparse || factor[t] != 0.0f) rows[count++] = t;
            }
            if (count) swiglu(m, &layer->own[x], (int)m->ffn_modality, c, a, h, u, g, y, rows, count, factor, all);
        }
        for (int t = 0; c->states && t < n; t++)
            for (int j = 0; j < d; j++) c->states[((int64_t)l * n + t) * d + j] = h[t * ldd + j];
    }
    for (int t = 0; t < n; t++) {
        if (!c->live_panels[t]) continue;
        rms(h + t * ldd, m->final_norm, a, d, m->eps);
        const weight *head = m->head + (size_t)c->live_panel[t] * d * PANEL;
        for (int p = 0; p < c->live_panels[t]; p += MOST) {
            int count = c->live_panels[t] - p < MOST ? (int)(c->live_panels[t] - p) : MOST;
            matmul(head + (size_t)p * d * PANEL, all, count, d, 0, d, a, ldd, c->logits[t] + p * PANEL, 0, NULL, 1, 0);
        }
        c->weight_bytes += c->live_panels[t] * PANEL * d * (int64_t)sizeof(weight);
    }
    return 0;
}
