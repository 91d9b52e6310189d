/** ONNX lowerings of ops that move elements. */
import { dimEqual } from "../../graph/dim.js";
import { scalarTensor } from "../../graph/infer/scalar-tensor.js";
import type { OpName } from "../../graph/value.js";
import type { Lowering } from "../lowering.js";

export const layoutLowerings = {
  reshape: ({ inputs: [x], attributes }, [name], { reshape }) => reshape(name as string, attributes.shape, x.shape),
  transpose: ({ attributes }, inputs, { emit }) => emit("Transpose", inputs, { perm: attributes.permutation }),
  // 1 keeps the input's size.
  expand: ({ inputs: [x], attributes }, [name], { emit, shape }) => {
    const added = attributes.shape.length - x.shape.length;
    const dims = attributes.shape.map((dim, axis) => {
      const source = x.shape[axis - added];
      return source !== undefined && dimEqual(dim, source) ? 1 : dim;
    });
    return emit("Expand", [name as string, shape(dims)]);
  },
  slice: ({ attributes: { axes, starts, stops, steps } }, [x], { emit, ints }) =>
    emit("Slice", [x as string, ints(starts), ints(stops), ints(axes), ints(steps)]),
  pad: ({ inputs, attributes: { before, after, mode, value }, dtype }, [x], { emit, ints, constant }) => {
    const amounts = ints([...before, ...after]);
    if (mode !== "constant") return emit("Pad", [x as string, amounts], { mode });
    return emit("Pad", [x as string, amounts, constant(scalarTensor("pad", inputs, value, dtype))], { mode });
  },
  concat: ({ attributes }, inputs, { emit }) => emit("Concat", inputs, { axis: attributes.axis }),
  gather: ({ attributes }, inputs, { emit }) => emit("Gather", inputs, { axis: attributes.axis }),
} satisfies { [K in OpName]?: Lowering<K> };
