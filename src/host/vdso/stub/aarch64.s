// What a patched process runs instead of the clock functions of its vDSO: the real system call, and then
// the lie that the variables describe. Position independent; no data of its own. C calling convention:
// only x0 to x17 are touched, and x30 is put back. Offsets are those of `variables.rs`.

    .set VARIABLES, 0x10000             // from the beginning of the code
    .set SETTINGS, 64                   // from the beginning of the variables, 64 bytes each
    .set WALL, 0x921                    // clocks 0, 5, 8 and 11: REALTIME, its COARSE and ALARM, and TAI

    .text
    .balign 16
    .globl elenchus_stub_begin, elenchus_stub_end
    .globl elenchus_stub_clock_gettime, elenchus_stub_gettimeofday
    .hidden elenchus_stub_begin, elenchus_stub_end
    .hidden elenchus_stub_clock_gettime, elenchus_stub_gettimeofday
elenchus_stub_begin:
.Lbegin:

elenchus_stub_clock_gettime:            // int f(clockid_t w0, struct timespec *x1)
    mov     w9, w0
    mov     x10, x1
    mov     x8, #113
    svc     #0                          // answers in x0, keeps the rest
    cbnz    w0, 1f
    cmp     w9, #11                     // negative ones are above it too
    b.hi    1f
    mov     w11, #WALL
    lsr     w11, w11, w9
    tbz     w11, #0, 1f
    ldp     x2, x3, [x10]
    mov     w4, #0xca00                 // a billion
    movk    w4, #0x3b9a, lsl #16
    madd    x0, x2, x4, x3
    mov     x17, x30
    bl      .Llie
    mov     x30, x17
    stp     x0, x1, [x10]
    mov     x0, #0
1:  ret

elenchus_stub_gettimeofday:             // int f(struct timeval *x0, struct timezone *x1)
    mov     x10, x0
    mov     x8, #169
    svc     #0
    cbnz    w0, 1f
    cbz     x10, 1f
    ldp     x2, x3, [x10]
    mov     w4, #0xca00
    movk    w4, #0x3b9a, lsl #16
    mov     w5, #1000
    mul     x3, x3, x5
    madd    x0, x2, x4, x3
    mov     x17, x30
    bl      .Llie
    mov     x30, x17
    mov     w5, #1000
    udiv    x1, x1, x5
    stp     x0, x1, [x10]
    mov     x0, #0
1:  ret

// In: x0, the true time in nanoseconds; x4, a billion. Out: x0 and x1, seconds and nanoseconds that are
// shown. Keeps x10 and x17.
.Llie:
    adr     x5, .Lbegin + VARIABLES
    ldarb   w6, [x5]                    // which setting counts
    and     x6, x6, #15
    add     x5, x5, x6, lsl #6
    add     x5, x5, #SETTINGS
    ldp     x11, x12, [x5]              // offset, rate
    ldp     x13, x14, [x5, #16]         // base, period
    sub     x13, x0, x13
    bic     x13, x13, x13, asr #63      // since the lie began; a coarse clock may still be before it
    mul     x15, x13, x12
    smulh   x16, x13, x12
    extr    x15, x16, x15, #32          // what the drift has come to
    cbz     x14, 1f
    udiv    x16, x13, x14
    tbnz    x16, #0, 2f
1:  add     x15, x15, x11
2:  cbz     x15, 4f
    str     x15, [x5, #40]              // shown
    add     x5, x5, #32                 // reads
3:  ldxr    x12, [x5]
    add     x12, x12, #1
    stxr    w13, x12, [x5]
    cbnz    w13, 3b
4:  add     x0, x0, x15
    sdiv    x2, x0, x4
    msub    x1, x2, x4, x0
    tbz     x1, #63, 5f
    add     x1, x1, x4
    sub     x2, x2, #1
5:  mov     x0, x2
    ret

    .balign 8
elenchus_stub_end:
