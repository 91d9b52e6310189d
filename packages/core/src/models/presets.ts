/**
 * The published models of all families. `getPreset` (find-preset.ts) looks them up by any of their names.
 */
import { FAMILIES, KINDS, type Kind, type PresetOf } from "./families.js";

export type Preset = PresetOf<Kind>;

export const PRESETS: readonly Preset[] = KINDS.flatMap((kind): readonly Preset[] => FAMILIES[kind].presets);
