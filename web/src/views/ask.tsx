// Asks the person before something that cannot be taken back, or shows more than a line has room for: the browser's own dialog,
// which keeps the focus in and gives it back.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Question {
  title: string;
  body: ComponentChildren;
  /** What the button that does it says; none: only shown. */
  does?: string;
  act?: () => void | Promise<void>;
  wide?: boolean;
}

const question = signal<Question | null>(null);

export function ask(asked: Question): void {
  question.value = asked;
}

export function Asking() {
  const asked = question.value;
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => { // in the step that draws it: a key that follows at once is meant for it
    if (asked && dialog.current && !dialog.current.open) dialog.current.showModal();
  }, [asked]);
  if (!asked) return null;
  const close = () => {
    dialog.current?.close();
    question.value = null;
  };
  return (
    <dialog ref={dialog} class={asked.wide ? "wide-dialog" : ""} aria-labelledby="asked" onCancel={close} onClose={() => (question.value = null)}
      onClick={(event) => event.target === dialog.current && close()}>
      <div class="dialog-body">
        <h2 id="asked">{asked.title}</h2>
        <div class="dialog-text">{asked.body}</div>
        <div class="dialog-ends">
          {asked.does && (
            <button type="button" class="grave-button"
              onClick={() => {
                close();
                void asked.act?.();
              }}>
              {asked.does}
            </button>
          )}
          <button type="button" class="plain-button" autofocus onClick={close}>
            {asked.does ? "Keep it" : "Close"}
          </button>
        </div>
      </div>
    </dialog>
  );
}
