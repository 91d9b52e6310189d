/** Engine state on a session host: checks names and shapes, and leaves the tensors where the sessions are. */
import { EngineError } from "../errors.js";
import type { DType } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import type { EngineState, NamedTensors } from "./engine.js";
import type { SessionState } from "./session-host.js";

export interface OnnxState extends EngineState {
  /** The tensors themselves, for sessions to bind to. */
  readonly session: SessionState;
}

/** Wraps a host's state; `engine` is named in messages. */
export function createOnnxState(session: SessionState, engine: string): OnnxState {
  const specs = new Map<string, { readonly shape: readonly number[]; readonly dtype: DType }>();

  async function readAll(names: Iterable<string> = specs.keys()): Promise<Map<string, Tensor>> {
    const list = [...names];
    for (const name of list) {
      if (!specs.has(name)) throw new EngineError(`${engine}: the state holds no "${name}"`);
    }
    return session.read(list);
  }

  return {
    session,
    specs,
    async write(tensors: NamedTensors) {
      const checked = new Map<string, Tensor>();
      for (const [name, tensor] of Object.entries(tensors)) {
        const known = specs.get(name);
        if (known !== undefined && known.shape.join() !== tensor.shape.join()) {
          throw new EngineError(
            `${engine}: the state holds "${name}" as [${known.shape.join(", ")}], got [${tensor.shape.join(", ")}]`,
          );
        }
        checked.set(name, known === undefined ? tensor : tensor.cast(known.dtype));
      }
      await session.write(checked);
      for (const [name, { shape, dtype }] of checked) specs.set(name, { shape, dtype });
    },
    async read(name) {
      return (await readAll([name])).get(name) as Tensor;
    },
    readAll,
    dispose: () => session.release(),
  };
}
