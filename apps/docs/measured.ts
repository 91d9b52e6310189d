/** A table of measurements that the site shows as bars. */
export interface Measured {
  readonly series: readonly string[];
  readonly unit: string;
  /** Whether to show the first value over the last. */
  readonly ratio: boolean;
  readonly rows: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
  readonly machine: string;
  readonly instructionSet: string;
  readonly versions: string;
  readonly date: string;
  readonly conditions: string;
  readonly command: string | null;
}
