/* Motley: mixture-of-experts on whatever devices you have.  Includes every public header; read
 * them in this order.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MOTLEY_H
#define MOTLEY_MOTLEY_H

#include <motley/status.h>   /* what functions return */
#include <motley/context.h>  /* one rank, one device */
#include <motley/tensor.h>   /* a matrix on it */
#include <motley/coactivation.h> /* which experts tokens choose together */
#include <motley/plan.h>     /* who computes what */
#include <motley/layer.h>    /* the mixture-of-experts layer */
#include <motley/train.h>    /* a language model of such layers: train, save, generate */

#endif
