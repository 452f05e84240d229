// A button with a short list of things to do: opened by click, Enter or ArrowDown, walked with the arrows, closed with Escape.

import { useLayoutEffect, useRef, useState } from "preact/hooks";

export interface Choice {
  /** What tells it from the others, where two may say the same. */
  key?: string;
  says: string;
  act: () => void;
  grave?: boolean;
  off?: boolean;
}

const kGap = 4; // px between the button and its list
const kEdge = 8; // px that the list keeps from the window's edges

export function Menu({ label, choices, children, className = "quiet" }: { label: string; choices: Choice[]; children: preact.ComponentChildren; className?: string }) {
  const [place, setPlace] = useState<Record<string, string> | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);

  const open = () => {
    const box = button.current?.getBoundingClientRect();
    if (!box) return;
    const up = box.bottom > innerHeight - 40 * choices.length - 24;
    const leftwards = box.left + box.right > innerWidth; // to where there is more room
    const across = Math.max(kEdge, leftwards ? innerWidth - box.right : box.left);
    setPlace({
      [up ? "bottom" : "top"]: `${(up ? innerHeight - box.top : box.bottom) + kGap}px`,
      [leftwards ? "right" : "left"]: `${across}px`,
      maxWidth: `min(24rem, ${innerWidth - across - kEdge}px)`,
    });
  };
  const close = (refocus = true) => {
    setPlace(null);
    if (refocus) button.current?.focus();
  };

  useLayoutEffect(() => {
    if (!place) return;
    list.current?.querySelector<HTMLElement>("[role=menuitem]:not([disabled])")?.focus();
    const outside = (event: Event) => {
      if (!list.current?.contains(event.target as Node) && !button.current?.contains(event.target as Node)) close(false);
    };
    const away = () => close(false);
    addEventListener("pointerdown", outside);
    addEventListener("resize", away);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("resize", away);
    };
  }, [place]);

  const walk = (event: KeyboardEvent) => {
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[role=menuitem]:not([disabled])") ?? [])];
    const now = items.indexOf(document.activeElement as HTMLElement);
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") items[(now + 1) % items.length]?.focus();
    else if (event.key === "ArrowUp") items[(now - 1 + items.length) % items.length]?.focus();
    else if (event.key === "Tab") return close(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <>
      <button ref={button} type="button" class={className} aria-haspopup="menu" aria-expanded={place !== null} aria-label={label} title={label}
        onClick={() => (place ? close() : open())}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" && !place) {
            event.preventDefault();
            open();
          }
        }}>
        {children}
      </button>
      {place && (
        <div ref={list} role="menu" aria-label={label} class="menu" onKeyDown={walk} style={place}>
          {choices.map((choice) => (
            <button key={choice.key ?? choice.says} type="button" role="menuitem" class={choice.grave ? "grave" : ""} disabled={choice.off ?? false}
              onClick={() => {
                close();
                choice.act();
              }}>
              {choice.says}
            </button>
          ))}
        </div>
      )}
    </>
  );
}
