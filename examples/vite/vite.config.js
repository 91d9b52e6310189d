export default {
  // The page awaits the model at its top level, which browsers know since 2021.
  build: { target: "es2022" },
  // The development server would bundle these away from the files that they load: workers, WebAssembly, weights.
  optimizeDeps: { exclude: ["@dcae/core", "onnxruntime-web"] },
};
