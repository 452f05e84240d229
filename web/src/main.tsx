// The page of `lares ui`. Everything it shows it asks the daemon that served it; it knows no other host.

import { render } from "preact";
import "./style/base.css";
import "./style/chat.css";
import "./style/parts.css";
import { Shell } from "./views/shell";

const root = document.getElementById("page");
if (root) render(<Shell />, root);
