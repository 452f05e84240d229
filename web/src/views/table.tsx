// A table that becomes a short paragraph for each row where the window is narrow, so that nothing of it is out of sight.

import type { ComponentChildren } from "preact";

export interface Column<Row> {
  name: string;
  /** Whether it is a figure, which is set to the right. */
  figure?: boolean;
  /** Whether what stands in it says by itself what it is, without the column's name. */
  plain?: boolean;
  of: (row: Row, i: number) => ComponentChildren;
}

export function Table<Row>({ label, columns, rows, keyOf }: { label: string; columns: Column<Row>[]; rows: Row[]; keyOf: (row: Row) => string }) {
  const kind = (column: Column<Row>) => (column.figure ? "n" : undefined);
  return (
    <div class="wide" tabIndex={0} role="region" aria-label={label}>
      <table class="rows" role="table">
        <thead role="rowgroup"><tr role="row">{columns.map((column) => <th key={column.name} role="columnheader" class={kind(column)}>{column.name}</th>)}</tr></thead>
        <tbody role="rowgroup">
          {rows.map((row, i) => (
            <tr key={keyOf(row)} role="row">
              {columns.map((column) => <td key={column.name} role="cell" class={kind(column)} data-name={column.plain ? undefined : column.name}>{column.of(row, i)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
