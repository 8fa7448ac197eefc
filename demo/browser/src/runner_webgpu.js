import * as ort from "onnxruntime-web/webgpu";
import { serve } from "./runner.js";

serve(ort, "webgpu");
