// Grows when the list of receipts should be read anew.
import { signal } from "@preact/signals";

export const receiptsChanged = signal(0);
