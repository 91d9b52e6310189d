/** Checks data against a schema, with every wrong field named in one line. */
import { ConfigError } from "@dcae/core/graph";
import type { z } from "zod";

const MAX_REPORTED = 5;

/**
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field
 */
export function parseConfig<T>(schema: z.ZodType<T>, input: unknown, source: string): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join(".") || "config"}: ${message}`);
  const more = problems.length > MAX_REPORTED ? `; and ${problems.length - MAX_REPORTED} more` : "";
  throw new ConfigError(`${source}: ${problems.slice(0, MAX_REPORTED).join("; ")}${more}`);
}
