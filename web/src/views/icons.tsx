// The page's few signs, drawn with lines; each stands beside a name that a screen reader reads.

import type { ComponentChildren } from "preact";

function sign(children: ComponentChildren, size = 18) {
  return (
    <svg width={size} height={size} viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const Up = () => sign(<path d="M9 14.5v-11M4.5 8 9 3.5 13.5 8" />);
export const Square = () => sign(<rect x="5" y="5" width="8" height="8" rx="1.5" fill="currentColor" stroke="none" />);
export const Clip = () => sign(<path d="m14.5 8.5-5.6 5.6a3.4 3.4 0 0 1-4.8-4.8l5.9-5.9a2.3 2.3 0 0 1 3.2 3.2l-5.8 5.9a1.1 1.1 0 0 1-1.6-1.6l5.2-5.2" />);
export const Dots = () => sign(<path d="M4 9h.01M9 9h.01M14 9h.01" stroke-width="2.2" />);
export const Pen = () => sign(<path d="M3.5 14.5 4 12l7.8-7.8 2 2L6 14l-2.5.5ZM10.5 5.500l2 2" />);
export const Again = () => sign(<path d="M14 9a5 5 0 1 1-1.500-3.500L14 7M14 3.500V7h-3.500" />);
export const Sheets = () => sign(<path d="M6.500 6.500h7v8h-7zM4.500 11.500v-8h7" />);
export const Lines = () => sign(<path d="M3 5.500h12M3 9h12M3 12.500h12" />);
export const Cross = () => sign(<path d="m5 5 8 8M13 5l-8 8" />);
export const Plus = () => sign(<path d="M9 4v10M4 9h10" />);
export const Left = () => sign(<path d="M10.500 5 6.500 9l4 4" />, 16);
export const Right = () => sign(<path d="m7.500 5 4 4-4 4" />, 16);
export const Hearth = () => (
  <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true" focusable="false">
    <path d="M3 19V10.500a8 8 0 0 1 16 0V19" fill="none" stroke="currentColor" stroke-width="1.500" stroke-linecap="round" />
    <path class="flame" d="M11 8.500c2.500 2.300 3.600 4 3.600 6A3.600 3.600 0 0 1 11 18.200a3.600 3.600 0 0 1-3.600-3.700c0-1.200.500-2.100 1.300-3 .2 1 .7 1.500 1.300 1.700-.2-1.700.1-3.200 1-4.700Z" />
  </svg>
);
