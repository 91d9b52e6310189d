// @ts-check
/**
 * The worker thread of Node that owns ONNX Runtime sessions: onnxruntime-node computes on the thread that calls it, for seconds at a
 * time; here it does so away from the caller's event loop.
 */
import { parentPort } from "node:worker_threads";
import * as ort from "onnxruntime-node";
import { answerRequests } from "./onnx-requests.mjs";

// Failures arrive as exceptions. The native library would print them to stderr as well, even when a device is only tried.
ort.env.logLevel = "fatal";
parentPort?.on(
  "message",
  answerRequests(ort, (message, transfer) => parentPort?.postMessage(message, transfer)),
);
