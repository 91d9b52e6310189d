import type { Theme } from "vitepress";
import DefaultTheme from "vitepress/theme";
import MeasuredBars from "./measured-bars.vue";
import "./style.css";

export default {
  extends: DefaultTheme,
  enhanceApp({ app }) {
    app.component("MeasuredBars", MeasuredBars);
  },
} satisfies Theme;
