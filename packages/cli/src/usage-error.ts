/** A command line that can't be carried out as it is written: exit status 2, where other failures give 1. */
import { DcaeError } from "@dcae/core";

export class UsageError extends DcaeError {}
