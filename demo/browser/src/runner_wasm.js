import * as ort from "onnxruntime-web/wasm";
import { serve } from "./runner.js";

serve(ort, "wasm");
