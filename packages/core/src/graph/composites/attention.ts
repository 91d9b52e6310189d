/** Attention as composites. */
import { type Dim, shapeEqual } from "../dim.js";
import { shapeError } from "../infer/rule.js";
import { add, div, mul, reduceSum, relu, softmax, sub } from "../ops/elementwise.js";
import { pad, slice, transpose } from "../ops/layout.js";
import { matmul } from "../ops/linear.js";
import type { Value } from "../value.js";
import type { CompositeRow } from "./composite-row.js";

/**
 * relu(k) . relu(q), normalized over the keys. Without softmax the product of values, keys and queries may be taken in either
 * order: the linear form multiplies values by keys first and costs O(N d^2); the quadratic one, O(N^2 d), is used where N <= d.
 * Symbolic sizes take the linear form.
 */
export const linearAttention: CompositeRow<"linearAttention"> = {
  body([q, k, v], { eps }) {
    if (q.shape.length !== 4) throw shapeError("linearAttention", [q, k, v], "needs [B, heads, d, N]");
    const [dim, count] = q.shape.slice(-2) as [number, Dim];
    const [queries, keys] = [relu(q), relu(k)];
    if (typeof count === "number" && count <= dim) {
      const products = matmul(transpose(keys), queries);
      const total = reduceSum(products, 2, { keepDims: true });
      return { result: matmul(v, div(products, add(total, eps))), parts: {} };
    }
    // The extra row of ones carries the normalizer through the same two products.
    const extended = pad(v, { 2: [0, 1] }, "constant", 1);
    const output = matmul(matmul(extended, transpose(keys)), queries);
    return { result: div(slice(output, 2, 0, dim), add(slice(output, 2, dim), eps)), parts: {} };
  },
  half: "float32",
};

export const softmaxAttention: CompositeRow<"softmaxAttention"> = {
  body([q, k, v], { scale, layout }) {
    const queries = mul(q, scale);
    if (layout === "tokens first") {
      const weights = softmax(matmul(queries, transpose(k)), -1);
      return { result: matmul(weights, v), parts: { queries, weights } };
    }
    // [..., N, N]: row n holds the weights of all keys for query n.
    const weights = softmax(matmul(transpose(queries), k), -1);
    return { result: matmul(v, transpose(weights)), parts: { queries, weights } };
  },
  /**
   * y = p v with p = softmax(s). The sum of dp p that softmax's derivative needs is that of dy y, which is as wide as a head and
   * not as long as the sequence (Dao et al. 2022, appendix B.4):
   *
   *     ds = p (dp - sum of dy y),   dp = dy v^T,   dv = p^T dy
   */
  gradient({ inputs: [q, k, v], attributes: { attributes, body } }, dy) {
    const { scale, layout } = attributes;
    const batch = (value: Value) => value.shape.slice(0, -2);
    if (layout !== "tokens first" || !shapeEqual(batch(q), batch(v)) || !shapeEqual(batch(k), batch(v)))
      return undefined;
    const { queries, weights } = body.parts;
    let scores: Value | undefined;
    const ds = () => {
      const total = reduceSum(mul(dy, body.result), -1, { keepDims: true });
      scores ??= mul(weights, sub(matmul(dy, transpose(v)), total));
      return scores;
    };
    return [
      () => mul(matmul(ds(), k), scale),
      () => matmul(transpose(ds()), queries),
      () => matmul(transpose(weights), dy),
    ];
  },
  half: "float32",
};
