/** ONNX lowerings of ops that move elements. */
import { dimEqual } from "../../graph/dim.js";
import { Tensor } from "../../graph/tensor.js";
import type { OpName } from "../../graph/value.js";
import type { Lowering } from "../lowering.js";

export const layoutLowerings = {
  // 0 copies the input's size of the same axis, so that most dynamic reshapes need no size computed at run time.
  reshape: ({ inputs: [x], attributes }, [name], { emit, shape }) => {
    const dims = attributes.shape.map((dim, axis) => {
      const source = x.shape[axis];
      return typeof dim !== "number" && source !== undefined && dimEqual(dim, source) ? 0 : dim;
    });
    return emit("Reshape", [name as string, shape(dims)]);
  },
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
  pad: ({ attributes: { before, after, mode, value }, dtype }, [x], { emit, ints, constant }) => {
    const amounts = ints([...before, ...after]);
    if (mode !== "constant") return emit("Pad", [x as string, amounts], { mode });
    return emit("Pad", [x as string, amounts, constant(Tensor.full([], value).cast(dtype))], { mode });
  },
  concat: ({ attributes }, inputs, { emit }) => emit("Concat", inputs, { axis: attributes.axis }),
  gather: ({ attributes }, inputs, { emit }) => emit("Gather", inputs, { axis: attributes.axis }),
} satisfies { [K in OpName]?: Lowering<K> };
