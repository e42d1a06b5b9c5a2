import { type TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { type ILab, type State } from '../api';

const COLUMN = 84;
const BOX = { width: 72, height: 26 };
const ROW = 26;

/** A lab as a picture: its machines and the workspace above, the networks that join them below. */
export function Topology(props: {
  lab: ILab;
  states: Map<string, State | null>;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { lab, states, trans } = props;
  const machines = lab.machines.map(each => each.machine);
  const workspace = trans.__('you');
  const named = Object.entries(lab.networks);
  const networks: [string, string[]][] = named.length
    ? named
    : [[trans.__('your network'), machines]];
  const width = Math.max(200, COLUMN * (machines.length + 1));
  const height = BOX.height + ROW * networks.length + 4;
  const middle = (column: number): number => column * COLUMN + BOX.width / 2 + 2;
  const line = (row: number): number => BOX.height + ROW * row + 10;
  const said = networks
    .map(([name, members]) => trans.__('%1 joins you with %2', name, members.join(', ')))
    .join('; ');
  return (
    <svg
      className="mr-Topology"
      viewBox={`0 0 ${width} ${height}`}
      style={{ maxWidth: width }}
      role="img"
      aria-label={trans.__('The networks of lab %1: %2.', lab.lab, said)}
    >
      {networks.map(([name, members], row) => {
        const ends = [0, ...members.map(member => machines.indexOf(member) + 1)];
        const last = Math.max(...ends);
        return (
          <g key={name} className="mr-Topology-network">
            <line x1={middle(0)} x2={middle(last)} y1={line(row)} y2={line(row)} />
            {ends.map(column => (
              <React.Fragment key={column}>
                <line
                  x1={middle(column) + row * 6}
                  x2={middle(column) + row * 6}
                  y1={BOX.height}
                  y2={line(row)}
                />
                <circle cx={middle(column) + row * 6} cy={line(row)} r="3" />
              </React.Fragment>
            ))}
            <text x={middle(0) + row * 6} y={line(row) + 14}>
              {name}
            </text>
          </g>
        );
      })}
      {[workspace, ...machines].map((name, column) => (
        <g
          key={name}
          className="mr-Topology-machine"
          data-state={column ? (states.get(name) ?? '') : 'workspace'}
        >
          <rect x={middle(column) - BOX.width / 2} y="1" rx="4" {...BOX} />
          <text x={middle(column)} y={BOX.height / 2 + 5} textAnchor="middle">
            {name}
          </text>
        </g>
      ))}
    </svg>
  );
}
