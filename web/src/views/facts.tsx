// Names with their values, one under the other, in a dialog.

export type Fact = [name: string, value: string];

export function Facts({ of }: { of: Fact[] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
