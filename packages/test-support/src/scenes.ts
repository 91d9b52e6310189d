/** Drawn pictures for the tests of packages that stand below train, which has the painters. */
export * from "@dcae/train/scenes";
