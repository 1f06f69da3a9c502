#!/usr/bin/env python3
# What `motley layer` must compute, in double precision with numpy alone: forward, backward, and the comparison.
#
#   reference.py make FILE --tokens T --width D --hidden F --experts E --top-k K [...]    an input of random tensors
#   reference.py check INPUT OUTPUT [the options given to motley layer] [--stats FILE]    exit status 0 if it agrees
#
# The gate's logits and the experts are computed in float64 from the numbers in the file; with --dtype bf16 or f16 from
# what that storage type makes of x, dy, w1, w2, w3.
#
# SPDX-License-Identifier: BSD-3-Clause
import argparse
import json
import math
import struct
import sys

import numpy as np

NUMPY = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I32": "<i4", "I64": "<i8"}


# Files

def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = decode(data[begin:end], entry["dtype"]).reshape(entry["shape"])
    return tensors


def decode(raw, dtype):
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, NUMPY[dtype])


def encode(values, dtype):
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, "<f4").view("<u4")
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()  # to nearest, ties to even
    return np.ascontiguousarray(values, NUMPY[dtype]).tobytes()


def write_safetensors(path, tensors, offset=0, floats="F32"):
    """offset: unused bytes before each tensor, so that they start at odd places."""
    header, parts, end = {}, [], 0
    for name, values in tensors.items():
        dtype = {"f": floats, "i": "I64" if values.dtype.itemsize == 8 else "I32"}[values.dtype.kind]
        raw = bytes(offset) + encode(values, dtype)
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [end + offset, end + len(raw)]}
        parts.append(raw)
        end += len(raw)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def stored(tensors, dtype):
    """The tensors as `motley layer --dtype` has them on its devices."""
    rounded = {"x", "dy", "w1", "w2", "w3"} if dtype != "f32" else set()
    return {name: decode(encode(values, dtype.upper()), dtype.upper()).reshape(values.shape) if name in rounded
            else values for name, values in tensors.items()}


# Activations: value, and derivative by the pre-activation

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def activation(name, a):
    if name == "relu":
        return np.maximum(a, 0), (a > 0).astype(float)
    if name == "gelu":
        normal = 0.5 * (1 + erf(a / math.sqrt(2)))
        return a * normal, normal + a * np.exp(-a * a / 2) / math.sqrt(2 * math.pi)
    s = sigmoid(a)  # silu, and the first matrix of swiglu
    return a * s, s * (1 + a * (1 - s))


# The gate

def gate_logits(x, gate):
    """Equal rows of the gate give equal logits, whatever order a matrix product sums in: each is computed once."""
    distinct, place = np.unique(gate, axis=0, return_inverse=True)
    return (x @ distinct.T)[:, place.ravel()]


def read_counts(path):
    """Of a co-activation file: [layers,E,E]."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, dtype=np.int64)
    E = rows.shape[1] - 2
    return rows[:, 2:].reshape(-1, E, E)


def choose_among(logits, K, counts, most):
    """The best expert, and beside it the best of the `most` that were chosen most often with it (C2R)."""
    E = logits.shape[1]
    closest = np.zeros((E, E), bool)
    for e in range(E):
        others = [f for f in np.argsort(-counts[e], kind="stable") if f != e]
        closest[e, others[:most]] = True
    first = logits.argmax(axis=1) if len(logits) else np.zeros(0, int)
    may = closest[first]
    may[np.arange(len(first)), first] = True
    return np.argsort(-np.where(may, logits, -np.inf), axis=1, kind="stable")[:, :K]


def cosine_parts(t):
    """Unit rows, their lengths, unit rows of the gate, their lengths, scale: of the cosine gate."""
    v = t["x"].astype(float) @ t["cos_proj"].astype(float).T + t["cos_bias"]
    r = np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)
    gate = t["gate"].astype(float)
    norms = np.maximum(np.linalg.norm(gate, axis=1, keepdims=True), 1e-12)
    return v / r, r, gate / norms, norms, math.exp(min(float(t["cos_temperature"][0]), math.log(100)))


def normals(seed, count):
    """Numbers 0 .. count-1 of stream 0: a hash by SplitMix64, then Box and Muller."""
    def mix(x):
        x = x + np.uint64(0x9e3779b97f4a7c15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        return x ^ (x >> np.uint64(31))

    stream = mix(mix(np.array([seed], np.uint64)))
    u = (mix(stream ^ np.arange(2 * count, dtype=np.uint64)) >> np.uint64(11)) * 2.0 ** -53
    return np.sqrt(-2 * np.log1p(-u[::2])) * np.cos(2 * np.pi * u[1::2])


def scores(t, options):
    """p [T,E], by what experts are chosen, and the logits' log sum exp [T,1]."""
    kind = options.gate
    if kind == "cosine":
        u, _, m, _, scale = cosine_parts(t)
        logits = scale * gate_logits(u, m)
    else:
        logits = gate_logits(t["x"].astype(float), t["gate"].astype(float))
    logits = logits + options.noise / logits.shape[1] * normals(options.seed, logits.size).reshape(logits.shape)
    p = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
    lse = np.log(p.sum(axis=1, keepdims=True)) + (logits.max(axis=1, keepdims=True) if len(logits) else 0)
    if kind == "sigmoid":
        p = sigmoid(logits)
        return p, p + t.get("gate_correction", 0), lse
    return p / p.sum(axis=1, keepdims=True), logits, lse


def drop(p, indices, capacity, prioritised):
    """Which choices are beyond what an expert takes: all first choices in order of tokens, then all second ones, ..."""
    T, K = indices.shape
    E = p.shape[1]
    room = np.full(E, K * int(abs(capacity) * -(-T // E)))
    dropped = np.zeros((T, K), bool)
    order = np.argsort(-p.max(axis=1).astype("<f4"), kind="stable") if prioritised and T else np.arange(T)
    for k in range(K):
        for token in order:
            expert = indices[token, k]
            dropped[token, k] = room[expert] == 0
            room[expert] -= room[expert] > 0
    return dropped


def route(t, K, options):
    p, key, lse = scores(t, options)
    if options.gate == "forced":
        indices = t["forced"].astype(int)
    elif options.among:
        indices = choose_among(key, K, *options.among)
    else:
        indices = np.argsort(-key, axis=1, kind="stable")[:, :K]  # stable: ties to the lower expert
    chosen = np.take_along_axis(p, indices, axis=1)
    total = chosen.sum(axis=1, keepdims=True)
    return p, lse, indices, chosen / total if options.normalize else chosen, total


def share_of(p, indices):
    """E times the fraction of tokens whose first choice each expert is."""
    return p.shape[1] * np.bincount(indices[:, 0], minlength=p.shape[1]) / max(len(p), 1)


def losses(p, lse, indices):
    """The gate's balance loss and z-loss."""
    T = max(len(p), 1)
    return {"balance": (p * share_of(p, indices)).sum() / T, "z": (lse ** 2).sum() / T, "importance": 0}


def gate_gradient(t, p, lse, indices, weights, total, dweights, options):
    """Gradients of the gate's tensors, and the part of dx that goes through them."""
    x, gate = t["x"].astype(float), t["gate"].astype(float)
    normal = (dweights - (weights * dweights).sum(axis=1, keepdims=True)) / total
    dchosen = normal if options.normalize else dweights
    dp = np.zeros_like(p) + options.balance / max(len(p), 1) * share_of(p, indices)
    for k in range(indices.shape[1]):
        np.add.at(dp, (np.arange(len(p)), indices[:, k]), dchosen[:, k])
    if options.gate == "sigmoid":
        dlogits = p * (1 - p) * dp
    else:
        dlogits = p * (dp - (p * dp).sum(axis=1, keepdims=True) + options.z_loss / max(len(p), 1) * 2 * lse)
    if options.gate != "cosine":
        return {"dgate": dlogits.T @ x}, dlogits @ gate
    u, r, m, norms, scale = cosine_parts(t)
    dm, du = scale * dlogits.T @ u, scale * dlogits @ m
    dv = (du - u * (u * du).sum(axis=1, keepdims=True)) / r
    below = t["cos_temperature"][0] <= math.log(100)
    return {"dgate": (dm - m * (m * dm).sum(axis=1, keepdims=True)) / norms, "dcos_proj": dv.T @ x,
            "dcos_bias": dv.sum(axis=0), "dcos_temperature": np.array([(m * dm).sum() if below else 0])}, \
        dv @ t["cos_proj"].astype(float)


# The layer

def layer(t, K, act, options):
    """The outputs by name, and how near to 0 a routed pre-activation of relu comes (it has no derivative there)."""
    x, backward = t["x"].astype(float), options.backward
    swiglu = act == "swiglu"
    p, lse, chosen, weights, total = route(t, K, options)
    indices = chosen
    if options.capacity:
        dropped = drop(p, chosen, options.capacity, options.bpr)
        indices, weights = np.where(dropped, -1, chosen), np.where(dropped, 0, weights)
    out = {"y": np.zeros_like(x), "indices": indices, "weights": weights}
    closest = math.inf
    if backward:
        dy = t["dy"].astype(float)
        dweights, dx = np.zeros_like(weights), np.zeros_like(x)
        for name in ("w1", "w2", "w3", "b1", "b2"):
            if name in t and (name != "w3" or swiglu):
                out["d" + name] = np.zeros(t[name].shape)

    for e in range(len(t["gate"])):
        tokens, k = np.nonzero(indices == e)
        w1, w2 = t["w1"][e].astype(float), t["w2"][e].astype(float)
        weight, one = weights[tokens, k][:, None], np.ones((len(tokens), 1))
        inside, g = (weight, one) if options.weigh == "before" else (one, weight)
        xe = inside * x[tokens]
        a = xe @ w1.T + (t["b1"][e] if "b1" in t else 0)
        h, slope = activation(act, a)
        if act == "relu" and a.size:
            closest = min(closest, np.abs(a).min())
        if swiglu:
            w3 = t["w3"][e].astype(float)
            gated, third = h, xe @ w3.T
            h = gated * third
        o = h @ w2.T + (t["b2"][e] if "b2" in t else 0)
        np.add.at(out["y"], tokens, g * o)
        if not backward:
            continue
        do = g * dy[tokens]
        dh = do @ w2
        da = dh * slope * third if swiglu else dh * slope
        out["dw2"][e], out["dw1"][e] = do.T @ h, da.T @ xe
        dxe = da @ w1
        if swiglu:
            d3 = dh * gated
            out["dw3"][e] = d3.T @ xe
            dxe += d3 @ w3
        if "db1" in out:
            out["db1"][e] = da.sum(axis=0)
        if "db2" in out:
            out["db2"][e] = do.sum(axis=0)
        np.add.at(dx, tokens, inside * dxe)
        slope = dxe * x[tokens] if options.weigh == "before" else dy[tokens] * o
        dweights[tokens, k] = slope.sum(axis=1)
    if backward:
        gradients, through_gate = gate_gradient(t, p, lse, chosen, weights, total, dweights, options)
        out.update(gradients)
        out["dx"] = dx + through_gate
    return out, closest


# Commands

def make(args):
    T, D, F, E = args.tokens, args.width, args.hidden, args.experts
    seed = args.seed
    while True:
        random = np.random.default_rng(seed)

        def normal(*shape, scale=1.0):
            return (random.standard_normal(shape) * scale).astype("<f4")

        t = {"x": normal(T, D), "gate": normal(E, D, scale=D ** -0.5), "w1": normal(E, F, D, scale=D ** -0.5),
             "w2": normal(E, D, F, scale=F ** -0.5), "dy": normal(T, D)}
        if args.activation == "swiglu":
            t["w3"] = normal(E, F, D, scale=D ** -0.5)
        for name in args.bias:
            t[name] = normal(E, F if name == "b1" else D)
        if args.equal_gate:
            t["gate"][:] = t["gate"][:1]
            t["gate"][E // 2] *= 1.5
        if args.one_expert:  # every token's first choice
            t["x"][:, 0] = np.abs(t["x"][:, 0]) + 1
            t["gate"][E - 1, 0] = 50
        if args.gate == "sigmoid":
            t["gate_correction"] = normal(E, scale=0.2)
        if args.gate == "cosine":
            P = 9
            t["gate"] = normal(E, P)
            t["cos_proj"], t["cos_bias"] = normal(P, D, scale=D ** -0.5), normal(P)
            t["cos_temperature"] = np.array([args.temperature], "<f4")
        if args.gate == "forced":
            t["forced"] = random.integers(0, E, (T, args.top_k)).astype("<i4")
        if args.pairs:
            counts = np.triu(read_counts(args.pairs)[args.layer])
            drawn = random.choice(E * E, T, p=counts.ravel() / counts.sum())
            t["forced"] = np.stack([drawn // E, drawn % E], axis=1).astype("<i4")
        if args.tokens_per_rank:
            t["tokens_per_rank"] = np.array(args.tokens_per_rank, "<i8")
        if args.activation != "relu" or layer(t, args.top_k, "relu", args)[1] > 1e-5:
            break
        seed += 1
    write_safetensors(args.file, t, args.offset, args.dtype)
    print(f"{args.file}: seed {seed}")


def difference(found, wanted):
    """Norm of the difference over norm of the reference."""
    norm, gap = np.linalg.norm(wanted), np.linalg.norm(found.astype(float) - wanted)
    return gap / norm if norm > 0 else gap


def check_stats(path, t, indices, backward, dtype):
    """What the stats say of the routing must be what the routing says."""
    with open(path) as file:
        stats = json.load(file)
    ranks, T, wrong = stats["ranks"], len(t["x"]), []
    R, D, E, size = len(ranks), t["x"].shape[1], len(t["gate"]), 4 if dtype == "f32" else 2
    how = dict(stats["plan"])
    mode = how.pop("mode").split(":")[0]
    once = how.pop("dedup")
    if mode not in ("expert", "data", "model", "hybrid") or how.pop("pipeline") not in (1, 2, 4, 8) or \
       how not in ({"exchange": "linear"}, {"exchange": "hierarchical"}):
        wrong.append(f"plan is {stats['plan']}")
    holds = np.zeros((R, E), bool)     # which ranks a token goes to for an expert
    hidden = np.zeros((E, t["w1"].shape[1]), int)
    for r in ranks:
        holds[r["rank"], r["experts"]] = True
        hidden[r["experts"], r["hidden"][0]:r["hidden"][1]] += 1
    if (hidden != 1).any():
        wrong.append("the experts of the ranks are not every hidden row of every expert once")
    tokens = t.get("tokens_per_rank", [T // R + (r < T % R) for r in range(R)])
    home = np.repeat(np.arange(R), tokens)
    kept = indices >= 0
    goes = (holds[:, indices] & kept).any(axis=2) if T else np.zeros((R, 0), bool)  # [rank, token]
    if mode == "data" or R == 1:       # tokens stay, dropped or not
        goes = np.arange(R)[:, None] == home[None, :]
    rows = goes if once or mode == "data" or not T else holds[:, indices].sum(axis=2)  # each pair by itself
    for i, r in enumerate(ranks):
        mine = goes[:, home == i]
        copies = mine.sum() / max(mine.shape[1], 1)
        if mode == "data":             # the plan may give a rank no tokens
            copies = float(r["copies_per_token"] > 0)
        for name, found, wanted in (("rank", r["rank"], i),
                                    ("rows_sent", r["rows_sent"], int(np.delete(rows, i, 0)[:, home == i].sum())),
                                    ("rows_returned", r["rows_returned"], int(rows[i, home != i].sum())),
                                    ("copies_per_token", round(r["copies_per_token"], 6), round(copies, 6)),
                                    ("peak_device_bytes", r["peak_device_bytes"], r["planned_device_bytes"])):
            if found != wanted:
                wrong.append(f"rank {i}: {name} is {found}, expected {wanted}")
        least = (r["rows_sent"] + r["rows_returned"]) * D * size
        if stats["plan"]["exchange"] == "hierarchical":  # sums of a node cross as one row
            least = 0
        if r["bytes_sent"] < least or r["bytes_sent_nodes"] > r["bytes_sent"]:
            wrong.append(f"rank {i}: bytes_sent is {r['bytes_sent']}, bytes_sent_nodes {r['bytes_sent_nodes']}")
        phases = [""] + (["backward_"] if backward else [])
        for phase in phases:
            parts = sum(r[phase + part + "_seconds"] for part in ("gate", "dispatch", "experts", "combine"))
            if not 0 < r[phase + "step_seconds"] < 600 or min(r[phase + "experts_seconds"], parts) < 0:
                wrong.append(f"rank {i}: {phase}step_seconds is {r[phase + 'step_seconds']}")
        if not 0 <= r["comm_hidden_seconds"] <= r["comm_seconds"] + 1e-6 or not 0 <= r["share"] <= 1:
            wrong.append(f"rank {i}: comm_hidden_seconds, comm_seconds or share is out of range")
        for name in ("host", "device", "family"):
            if not r[name]:
                wrong.append(f"rank {i}: no {name}")
    return wrong


def check_losses(path, t, options):
    """What the stats say of the gate's losses, where any was asked for."""
    with open(path) as file:
        found = json.load(file).get("losses")
    wanted = losses(*route(t, options.top_k, options)[:3]) if options.balance or options.z_loss else None
    if found is None or wanted is None:
        return [] if found is wanted else [f"losses are {found}, expected {wanted}"]
    return [f"loss {name} is {found[name]}, expected {value}" for name, value in wanted.items()
            if not abs(found[name] - value) <= 1e-5 * abs(value)]


# Normalised errors allowed: of y, and of gradients.  f32 rounds sums of F and D terms.  Rounding a row to bf16 changes
# a number by 2^-8 of itself at most, which makes a normalised error of 1.5e-3: h, o, the weighted row and y going
# forward, together 3e-3; pre, u, dh1, w h and dx besides going backward.  f16 has 3 bits more.  The gate's sums are f32
# always.
LIMITS = {"f32": (5e-6, 3e-5), "bf16": (5e-3, 1e-2), "f16": (7e-4, 1.5e-3)}


def check_recorded(path, indices, E):
    """Pairs of the tokens' experts, and as many sets of theirs as there are tokens."""
    wanted = np.zeros((1, E, E), np.int64)
    for a in range(indices.shape[1]):
        for b in range(indices.shape[1]):
            apart = indices[:, a] != indices[:, b]
            np.add.at(wanted[0], (indices[apart, a], indices[apart, b]), 1)
    sets = np.loadtxt(path + ".sets", delimiter=",", skiprows=1, ndmin=2, dtype=np.int64)[:, 1:]
    wrong = [] if np.array_equal(read_counts(path), wanted) else [f"{path}: other pairs than the tokens chose"]
    if sorted(map(sorted, sets.tolist())) != sorted(map(sorted, indices.tolist())):
        wrong.append(f"{path}.sets: other sets than the tokens chose")
    return wrong


def check(args):
    t, found = stored(read_safetensors(args.input), args.dtype), read_safetensors(args.output)
    options = argparse.Namespace(**vars(args))
    options.among = (read_counts(args.coactivation).sum(axis=0), args.collaborators) if args.collaborators else None
    wanted, closest = layer(t, args.top_k, args.activation, options)
    wrong = []
    if args.activation == "relu" and args.backward and closest < 5e-6:
        wrong.append(f"a routed pre-activation is {closest:.1g} from 0, where relu has no derivative: change the input")
    if sorted(found) != sorted(wanted):
        wrong.append(f"expected tensors {sorted(wanted)}, found {sorted(found)}")
    for name in sorted(set(wanted) & set(found)):
        if found[name].shape != wanted[name].shape:
            wrong.append(f"{name}: expected shape {wanted[name].shape}, found {found[name].shape}")
        elif name == "indices":
            rows = int((found[name] != wanted[name]).any(axis=1).sum())
            if rows:
                wrong.append(f"indices: {rows} tokens go to other experts")
        else:
            limit = {"y": LIMITS[args.dtype][0], "weights": 1e-6}.get(name, LIMITS[args.dtype][1])
            gap = difference(found[name], wanted[name])
            print(f"  {name:8} {gap:.2e}  (limit {limit:.0e})")
            if not gap <= limit:
                wrong.append(f"{name}: relative error {gap:.3g}, limit {limit:g}")
    if args.stats:
        wrong += check_stats(args.stats, t, wanted["indices"], args.backward, args.dtype)
        wrong += check_losses(args.stats, t, options)
    if args.recorded:
        wrong += check_recorded(args.recorded, wanted["indices"], len(t["gate"]))
    for line in wrong:
        print("WRONG", line)
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("file")
    for name in ("--tokens", "--width", "--hidden", "--experts", "--top-k"):
        maker.add_argument(name, type=int, required=True)
    maker.add_argument("--activation", default="relu")
    maker.add_argument("--bias", nargs="*", default=[], choices=["b1", "b2"])
    maker.add_argument("--equal-gate", action="store_true")
    maker.add_argument("--one-expert", action="store_true")
    maker.add_argument("--pairs", help="a co-activation file: forced pairs drawn as often as it counts them")
    maker.add_argument("--layer", type=int, default=0, help="of that file")
    maker.add_argument("--temperature", type=float, default=math.log(2))
    maker.set_defaults(normalize=False, backward=False, capacity=0, bpr=False, among=None, weigh="after", noise=0,
                       balance=0, z_loss=0)
    maker.add_argument("--tokens-per-rank", type=int, nargs="+")
    maker.add_argument("--offset", type=int, default=0)
    maker.add_argument("--dtype", default="F32", choices=["F32", "BF16", "F16"])
    maker.add_argument("--seed", type=int, default=1)
    checker = commands.add_parser("check")
    checker.add_argument("input")
    checker.add_argument("output")
    checker.add_argument("--top-k", type=int, required=True)
    checker.add_argument("--activation", default="relu")
    checker.add_argument("--capacity", type=float, default=0)
    checker.add_argument("--bpr", action="store_true")
    checker.add_argument("--weigh", default="after", choices=["after", "before"])
    for name in ("--noise", "--balance", "--z-loss"):
        checker.add_argument(name, type=float, default=0)
    checker.add_argument("--seed", type=int, default=0)
    checker.add_argument("--normalize", action="store_true")
    checker.add_argument("--backward", action="store_true")
    checker.add_argument("--collaborators", type=int)
    checker.add_argument("--coactivation")
    checker.add_argument("--recorded", help="the file of --record-coactivation")
    checker.add_argument("--stats")
    checker.add_argument("--dtype", default="f32", choices=sorted(LIMITS))
    for each in (maker, checker):
        each.add_argument("--gate", default="softmax", choices=["softmax", "sigmoid", "cosine", "forced"])
    args = parser.parse_args()
    return make(args) if args.command == "make" else check(args)


if __name__ == "__main__":
    sys.exit(main())
