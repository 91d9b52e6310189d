import { library } from "../../tsup.shared.js";

export default library({ entry: ["src/bin.ts"], dts: false });
