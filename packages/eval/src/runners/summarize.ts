/** A metric of a set from the values of its pictures. */
import type { MetricValue } from "../results/evaluation-result.js";

/**
 * Mean and population standard deviation. Where pictures come back identical their PSNR is infinite and so is the mean, as
 * in the reference; the note then gives the mean of the others.
 */
export function summarize(values: readonly number[]): MetricValue {
  const finite = values.filter(Number.isFinite);
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const std = Math.sqrt(finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) / finite.length);
  if (values.length === 1 && finite.length === 1) return { value: mean, count: 1 };
  if (finite.length === values.length) return { value: mean, std, count: values.length };
  const others = finite.length === 0 ? "" : `; the mean of the other ${finite.length} is ${mean.toFixed(4)}`;
  return {
    value: Number.POSITIVE_INFINITY,
    count: values.length,
    note: `${values.length - finite.length} of ${values.length} pictures came back identical${others}`,
  };
}
