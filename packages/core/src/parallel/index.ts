/** What ranks of a parallel run share. */
export {
  type Communicator,
  type CommunicatorOptions,
  createCommunicator,
  RankError,
  type Transport,
} from "./communicator.js";
export { shareInRounds } from "./share-in-rounds.js";
export { isFirst, onFirst, requireSame, rowsPerRank, together } from "./work-together.js";
