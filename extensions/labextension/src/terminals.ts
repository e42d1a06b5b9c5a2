import { type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { type MainAreaWidget } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection, type Terminal } from '@jupyterlab/services';
import { type ITerminal, ITerminalTracker } from '@jupyterlab/terminal';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

/** Between attempts to come back, in ms; the last one from then on. */
const PAUSES = [1000, 1000, 2000, 4000, 8000, 15_000];
/** A key that nothing answers for so long makes us look whether the connection lives, in ms. */
const SILENCE = 4000;
/** A connection that seems well is not made anew more often than this, in ms. */
const PATIENCE = 30_000;
/** Whoever comes this late, in ms, was asleep. */
const ASLEEP = 20_000;

/**
 * Terminals that come back by themselves, and say so: after a dropped connection, a sleeping
 * laptop, or a restart of the server. JupyterLab's own attempts end after seven, and do not
 * notice a connection that died without a word.
 */
export const terminalsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:terminals',
  description: 'Terminals that reconnect by themselves.',
  autoStart: true,
  requires: [ITerminalTracker],
  optional: [ITranslator],
  activate: (app, tracker: ITerminalTracker, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const keepers = new Set<Keeper>();
    tracker.widgetAdded.connect((_, widget) => {
      const keeper = new Keeper(widget, trans);
      keepers.add(keeper);
      widget.disposed.connect(() => {
        keeper.dispose();
        keepers.delete(keeper);
      });
    });
    const each = (what: (keeper: Keeper) => void) => () => {
      keepers.forEach(what);
    };
    const renew = each(keeper => {
      keeper.renew();
    });
    const look = each(keeper => void keeper.look());
    window.addEventListener('online', renew);
    document.addEventListener('visibilitychange', look);
    app.serviceManager.terminals.connectionFailure.connect(look);
    let last = Date.now();
    setInterval(() => {
      if (Date.now() - last > ASLEEP) {
        renew();
      }
      last = Date.now();
    }, ASLEEP / 4);
  }
};

/** Keeps one terminal connected. */
class Keeper {
  constructor(
    private readonly widget: MainAreaWidget<ITerminal.ITerminal>,
    private readonly trans: TranslationBundle
  ) {
    this.session = widget.content.session;
    this.banner.addClass('mr-Banner');
    this.banner.node.setAttribute('role', 'status');
    this.banner.hide();
    widget.contentHeader.addWidget(this.banner);
    this.session.connectionStatusChanged.connect(this.onStatus);
    this.session.messageReceived.connect(this.onMessage);
    widget.node.addEventListener('keydown', this.onKey, true);
    this.attempt = window.setTimeout(() => {
      this.onStatus(null, this.session.connectionStatus); // it was opened while there is no connection
    }, SILENCE);
  }

  dispose(): void {
    clearTimeout(this.attempt);
    clearTimeout(this.doubt);
    this.session.connectionStatusChanged.disconnect(this.onStatus);
    this.session.messageReceived.disconnect(this.onMessage);
    this.widget.node.removeEventListener('keydown', this.onKey, true);
  }

  /** Make the connection anew: the server shows again what there was. */
  renew(): void {
    if (!this.session.isDisposed) {
      this.renewed = Date.now();
      this.session.reconnect().catch(() => undefined); // there will be another attempt
    }
  }

  /** See whether the server still has this terminal; if it cannot be reached, the connection is lost. */
  async look(): Promise<void> {
    if (this.session.isDisposed || this.session.connectionStatus !== 'connected') {
      return;
    }
    const settings = this.session.serverSettings;
    const url = URLExt.join(settings.baseUrl, 'api/terminals', this.session.name);
    try {
      const signal = AbortSignal.timeout(SILENCE);
      const answer = await ServerConnection.makeRequest(url, { signal }, settings);
      if (answer.status >= 500 || answer.status === 424) {
        this.renew();
      }
    } catch {
      this.renew();
    }
  }

  private readonly onStatus = (_: unknown, status: Terminal.ConnectionStatus): void => {
    clearTimeout(this.attempt);
    if (status === 'connected') {
      if (this.tries > 1) {
        this.say(this.trans.__('Connected again.'));
        setTimeout(() => {
          this.banner.hide();
        }, 4000);
      } else {
        this.banner.hide();
      }
      this.tries = 0;
    } else if (!this.session.isDisposed) {
      this.tryAgain();
    }
  };

  private tryAgain(): void {
    const pause = PAUSES[Math.min(this.tries, PAUSES.length - 1)] ?? 0;
    this.tries += 1;
    if (this.tries > 1) {
      const { trans } = this;
      this.say(
        trans.__(
          'The connection to this terminal is lost; what runs in it goes on. Next try in %1 s.',
          Math.ceil(pause / 1000)
        )
      );
    }
    this.attempt = window.setTimeout(() => {
      if (!this.session.isDisposed && this.session.connectionStatus !== 'connected') {
        this.renew();
        this.tryAgain();
      }
    }, pause);
  }

  private say(words: string): void {
    this.banner.node.textContent = words;
    this.banner.show();
  }

  private readonly onMessage = (): void => {
    clearTimeout(this.doubt);
    this.doubt = undefined;
  };

  private readonly onKey = ({ key }: KeyboardEvent): void => {
    if (key.length > 1 && key !== 'Enter') {
      return; // these may well do nothing
    }
    this.doubt ??= window.setTimeout(() => {
      this.doubt = undefined;
      const connected = this.session.connectionStatus === 'connected';
      if (connected && Date.now() - this.renewed > PATIENCE) {
        this.renew();
      }
    }, SILENCE);
  };

  private readonly session: Terminal.ITerminalConnection;
  private readonly banner = new Widget();
  private attempt: number | undefined;
  private doubt: number | undefined;
  private tries = 0;
  private renewed = 0;
}
