# What a patched process runs instead of the clock functions of its vDSO: the real system call, and then
# the lie that the variables describe. Position independent; no data of its own. C calling convention:
# only rax, rcx, rdx, rsi, rdi and r8 to r11 are touched. Offsets are those of `variables.rs`.

    .set VARIABLES, 0x10000             # from the beginning of the code
    .set SETTINGS, 64                   # from the beginning of the variables, 64 bytes each
    .set AT_OFFSET, 0
    .set AT_RATE, 8
    .set AT_BASE, 16
    .set AT_PERIOD, 24
    .set AT_READS, 32
    .set AT_SHOWN, 40
    .set BILLION, 1000000000
    .set WALL, 0x921                    # clocks 0, 5, 8 and 11: REALTIME, its COARSE and ALARM, and TAI

    .text
    .balign 16
    .globl elenchus_stub_begin, elenchus_stub_end
    .globl elenchus_stub_clock_gettime, elenchus_stub_gettimeofday, elenchus_stub_time
    .hidden elenchus_stub_begin, elenchus_stub_end
    .hidden elenchus_stub_clock_gettime, elenchus_stub_gettimeofday, elenchus_stub_time
elenchus_stub_begin:
.Lbegin:

elenchus_stub_clock_gettime:            # int f(clockid_t edi, struct timespec *rsi)
    mov     eax, 228
    syscall                             # answers in rax, clobbers rcx and r11, keeps the rest
    test    eax, eax
    jnz     1f
    cmp     edi, 11                     # negative ones are above it too
    ja      1f
    mov     ecx, WALL
    bt      ecx, edi
    jnc     1f
    imul    rax, qword ptr [rsi], BILLION
    add     rax, qword ptr [rsi + 8]
    call    .Llie
    mov     qword ptr [rsi], rax
    mov     qword ptr [rsi + 8], rdx
    xor     eax, eax
1:  ret

elenchus_stub_gettimeofday:             # int f(struct timeval *rdi, struct timezone *rsi)
    mov     eax, 96
    syscall
    test    eax, eax
    jnz     1f
    test    rdi, rdi
    jz      1f
    imul    rax, qword ptr [rdi], BILLION
    imul    rcx, qword ptr [rdi + 8], 1000
    add     rax, rcx
    call    .Llie
    mov     qword ptr [rdi], rax
    mov     rax, rdx
    xor     edx, edx
    mov     ecx, 1000
    div     rcx
    mov     qword ptr [rdi + 8], rax
    xor     eax, eax
1:  ret

elenchus_stub_time:                     # time_t f(time_t *rdi)
    push    rdi
    sub     rsp, 16
    mov     edi, 5                      # the clock that time(2) reads, but with its nanoseconds
    mov     rsi, rsp
    mov     eax, 228
    syscall
    test    eax, eax
    jnz     1f
    imul    rax, qword ptr [rsp], BILLION
    add     rax, qword ptr [rsp + 8]
    call    .Llie
1:  add     rsp, 16
    pop     rdi
    test    rdi, rdi
    jz      2f
    mov     qword ptr [rdi], rax
2:  ret

# In: rax, the true time in nanoseconds. Out: rax and rdx, seconds and nanoseconds that are shown.
# Keeps rdi and rsi.
.Llie:
    lea     r8, [rip + .Lbegin + VARIABLES]
    movzx   r9d, byte ptr [r8]          # which setting counts
    and     r9d, 15
    shl     r9d, 6
    lea     r8, [r8 + r9 + SETTINGS]
    mov     r10, rax
    mov     r11, rax
    xor     ecx, ecx
    sub     r11, qword ptr [r8 + AT_BASE]
    cmovl   r11, rcx                    # since the lie began; a coarse clock may still be before it
    mov     rax, r11
    imul    qword ptr [r8 + AT_RATE]
    shrd    rax, rdx, 32
    mov     rcx, rax                    # what the drift has come to
    mov     r9, qword ptr [r8 + AT_PERIOD]
    test    r9, r9
    jz      1f
    mov     rax, r11
    xor     edx, edx                    # so the quotient fits, whatever the operands
    div     r9
    test    al, 1
    jnz     2f
1:  add     rcx, qword ptr [r8 + AT_OFFSET]
2:  test    rcx, rcx
    jz      3f
    mov     qword ptr [r8 + AT_SHOWN], rcx
    lock inc qword ptr [r8 + AT_READS]
3:  lea     rax, [r10 + rcx]
    mov     r8d, BILLION
    cqo
    idiv    r8                          # cqo before it: cannot overflow
    test    rdx, rdx
    jns     4f
    add     rdx, r8
    dec     rax
4:  ret

    .balign 8
elenchus_stub_end:
