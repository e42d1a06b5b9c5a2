import { type MainAreaWidget } from '@jupyterlab/apputils';
import { type ITerminal, type ITerminalTracker } from '@jupyterlab/terminal';
import { type TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { type Help } from './model';

/** Above each terminal that somebody looks on at: who, and whether they may type. */
export class Notices {
  constructor(
    tracker: ITerminalTracker,
    private readonly model: Help,
    private readonly trans: TranslationBundle
  ) {
    tracker.widgetAdded.connect((_, widget) => {
      this.show(widget);
    });
    model.stateChanged.connect(() => {
      tracker.forEach(widget => {
        this.show(widget);
      });
    });
  }

  private show(widget: MainAreaWidget<ITerminal.ITerminal>): void {
    const { trans } = this;
    const words = this.model.visits
      .filter(({ terminal }) => terminal === widget.content.session.name)
      .map(({ by, typing }) =>
        typing === 'allowed' ? trans.__('%1 may type here.', by) : trans.__('%1 looks on.', by)
      )
      .join(' ');
    let notice = this.notices.get(widget);
    if (!notice) {
      notice = new Widget();
      notice.addClass('mr-Banner');
      notice.node.setAttribute('role', 'status');
      widget.contentHeader.addWidget(notice);
      this.notices.set(widget, notice);
    }
    notice.node.textContent = words;
    notice.setHidden(!words);
  }

  private readonly notices = new WeakMap<Widget, Widget>();
}
