// Asks for something again and again while a part of the page is shown and its window is seen.

import { useEffect } from "preact/hooks";
import { connection } from "../api/http";

export function usePolled(read: () => Promise<void>, everyMs: number, again: unknown[] = []): void {
  useEffect(() => {
    let timer = 0;
    let over = false;
    const turn = async () => {
      if (connection.peek() === "open" && !document.hidden) await read().catch(() => {});
      if (!over) timer = window.setTimeout(() => void turn(), everyMs);
    };
    void turn();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, again);
}
