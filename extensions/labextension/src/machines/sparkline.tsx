import React from 'react';

const WIDTH = 96;
const HEIGHT = 24;

/** Shares between 0 and 1, oldest first, as a small plot; `label` says the last one in words. */
export function Sparkline(props: {
  values: number[];
  most: number;
  label: string;
}): React.JSX.Element {
  const { values, most, label } = props;
  const step = WIDTH / Math.max(1, most - 1);
  const left = WIDTH - (values.length - 1) * step;
  const points = values.map((value, index) => {
    const height = Math.min(1, Math.max(0, value)) * (HEIGHT - 2);
    return `${(left + index * step).toFixed(1)},${(HEIGHT - 1 - height).toFixed(1)}`;
  });
  return (
    <svg
      className="mr-Sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={label}
      preserveAspectRatio="none"
    >
      {points.length > 0 && (
        <>
          <polygon points={`${left.toFixed(1)},${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}`} />
          <polyline points={points.join(' ')} />
        </>
      )}
    </svg>
  );
}
