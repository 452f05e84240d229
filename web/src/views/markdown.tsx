// A message's text on the page: the growing view of one that is being written, and the same renderer for one that is done.

import { effect, type Signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Growing } from "../markdown/growing";

/** At most this often is a growing answer drawn; more seldom when drawing it costs more. */
const kDrawEveryMs = 40;
const kCostShare = 6;

export function Markdown({ text }: { text: string }) {
  const root = useRef<HTMLDivElement>(null);
  const growing = useRef<Growing | null>(null);
  useLayoutEffect(() => {
    if (!root.current) return;
    growing.current ??= new Growing(root.current);
    growing.current.show(text, true);
  }, [text]);
  return <div ref={root} class="text" onClick={copyCode} />;
}

/** The text of an answer that is coming; `drew` is called after each time that more of it was drawn. */
export function GrowingMarkdown({ text, of, drew }: { text: Signal<string>; of: (text: string) => string; drew: () => void }) {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!root.current) return;
    const growing = new Growing(root.current);
    let frame = 0;
    let timer = 0;
    let notBefore = 0;
    const draw = () => {
      frame = 0;
      const began = performance.now();
      growing.show(of(text.peek()), false);
      const now = performance.now();
      notBefore = now + Math.max(kDrawEveryMs, (now - began) * kCostShare);
      drew();
    };
    const schedule = () => {
      if (frame || timer) return;
      const wait = notBefore - performance.now();
      if (wait > 0) timer = window.setTimeout(() => ((timer = 0), (frame = requestAnimationFrame(draw))), wait);
      else frame = requestAnimationFrame(draw);
    };
    const stop = effect(() => {
      void text.value;
      schedule();
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [text]);
  return <div ref={root} class="text growing" onClick={copyCode} />;
}

function copyCode(event: MouseEvent): void {
  const button = (event.target as Element).closest(".copy-code");
  const code = button?.closest(".code")?.querySelector("code")?.textContent;
  if (!button || code == null) return;
  void navigator.clipboard.writeText(code).then(
    () => {
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1_500);
    },
    () => (button.textContent = "Not allowed"),
  );
}
