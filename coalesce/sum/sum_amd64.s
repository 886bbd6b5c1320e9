// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func blocks(p *byte, n int) uint64
//
// Words of 32 bits are added to 16 sums of 64 bits, which n bytes cannot overflow
// as long as n < 2^36: 128 bytes a step, and what is left 32 bytes a step.
TEXT ·blocks(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPCMPEQD Y12, Y12, Y12
	VPSRLQ $32, Y12, Y12 // the low half of each 64 bits
	SUBQ $128, CX
	JLT rest

loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	VPSRLQ $32, Y4, Y8
	VPSRLQ $32, Y5, Y9
	VPSRLQ $32, Y6, Y10
	VPSRLQ $32, Y7, Y11
	VPAND Y12, Y4, Y4
	VPAND Y12, Y5, Y5
	VPAND Y12, Y6, Y6
	VPAND Y12, Y7, Y7
	VPADDQ Y8, Y0, Y0
	VPADDQ Y9, Y1, Y1
	VPADDQ Y10, Y2, Y2
	VPADDQ Y11, Y3, Y3
	VPADDQ Y4, Y0, Y0
	VPADDQ Y5, Y1, Y1
	VPADDQ Y6, Y2, Y2
	VPADDQ Y7, Y3, Y3
	ADDQ $128, SI
	SUBQ $128, CX
	JGE loop

rest:
	ADDQ $128, CX
	JEQ done

short:
	VMOVDQU (SI), Y4
	VPSRLQ $32, Y4, Y8
	VPAND Y12, Y4, Y4
	VPADDQ Y8, Y0, Y0
	VPADDQ Y4, Y1, Y1
	ADDQ $32, SI
	SUBQ $32, CX
	JNE short

done:
	VPADDQ Y1, Y0, Y0
	VPADDQ Y3, Y2, Y2
	VPADDQ Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDQ X1, X0, X0
	VPSRLDQ $8, X0, X1
	VPADDQ X1, X0, X0
	VMOVQ X0, AX
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

// func copyBlocks(dst, src *byte, n int) uint64
//
// Like blocks, but it stores what it loads.
TEXT ·copyBlocks(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPCMPEQD Y12, Y12, Y12
	VPSRLQ $32, Y12, Y12 // the low half of each 64 bits
	SUBQ $128, CX
	JLT rest

loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	VMOVDQU Y4, (DI)
	VMOVDQU Y5, 32(DI)
	VMOVDQU Y6, 64(DI)
	VMOVDQU Y7, 96(DI)
	VPSRLQ $32, Y4, Y8
	VPSRLQ $32, Y5, Y9
	VPSRLQ $32, Y6, Y10
	VPSRLQ $32, Y7, Y11
	VPAND Y12, Y4, Y4
	VPAND Y12, Y5, Y5
	VPAND Y12, Y6, Y6
	VPAND Y12, Y7, Y7
	VPADDQ Y8, Y0, Y0
	VPADDQ Y9, Y1, Y1
	VPADDQ Y10, Y2, Y2
	VPADDQ Y11, Y3, Y3
	VPADDQ Y4, Y0, Y0
	VPADDQ Y5, Y1, Y1
	VPADDQ Y6, Y2, Y2
	VPADDQ Y7, Y3, Y3
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $128, CX
	JGE loop

rest:
	ADDQ $128, CX
	JEQ done

short:
	VMOVDQU (SI), Y4
	VMOVDQU Y4, (DI)
	VPSRLQ $32, Y4, Y8
	VPAND Y12, Y4, Y4
	VPADDQ Y8, Y0, Y0
	VPADDQ Y4, Y1, Y1
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, CX
	JNE short

done:
	VPADDQ Y1, Y0, Y0
	VPADDQ Y3, Y2, Y2
	VPADDQ Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDQ X1, X0, X0
	VPSRLDQ $8, X0, X1
	VPADDQ X1, X0, X0
	VMOVQ X0, AX
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET
