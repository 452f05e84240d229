// The page of `lares ui`. Everything it shows it asks the daemon that served it; it knows no other host.

import { render } from "preact";
import { followAddress } from "./route";
import "./style/base.css";
import "./style/chat.css";
import "./style/parts.css";
import { Shell } from "./views/shell";

const root = document.getElementById("page");
if (root) {
  followAddress();
  render(<Shell />, root);
}
