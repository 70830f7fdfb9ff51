/*
 * The page of a drill's report, from the document, as a link that opens it in a tab of its own.
 *
 * A Blob has Sunstone's origin, and DR_DOCUMENT can name a document that someone else wrote. So the page is
 * shown in a frame without scripts and without an origin, in a page that permits nothing from outside.
 */
window.OneDRModule.define('report', function (made) {
  'use strict'

  const { React, mui, rules } = made
  const h = React.createElement
  const LIMIT = 2 * 1024 * 1024 // bytes of a page, as in onedr/document/fit_rules.py
  const NOTHING = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"

  const STYLE = 'html,body{margin:0;height:100%}iframe{border:0;width:100%;height:100%;display:block}'

  // The text of a page that was packed: gzip in Base64. Unpacking ends at the limit.
  async function unpacked(text) {
    const bytes = Uint8Array.from(window.atob(text), (letter) => letter.charCodeAt(0))
    const stream = new Blob([bytes]).stream().pipeThrough(new window.DecompressionStream('gzip'))
    const reader = stream.getReader()
    const chunks = []
    for (let size = 0; ; ) {
      const { done, value } = await reader.read()
      if (done) return new Blob(chunks).text()
      size += value.length
      if (size > LIMIT) {
        reader.cancel()
        throw new Error('it is longer than ' + rules.size(LIMIT))
      }
      chunks.push(value)
    }
  }

  const quoted = (text) => text.replace(/&/g, '&amp;').replace(/"/g, '&quot;').replace(/</g, '&lt;')

  const framed = (html, title) =>
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">' +
    '<meta http-equiv="Content-Security-Policy" content="' +
    NOTHING +
    '"><title>' +
    quoted(title) +
    '</title><style>' +
    STYLE +
    '</style></head><body><iframe sandbox title="' +
    quoted(title) +
    '" srcdoc="' +
    quoted(html) +
    '"></iframe></body></html>'

  function ReportLink({ part, name }) {
    const [state, setState] = React.useState({})
    React.useEffect(() => {
      let shown = true
      let url = ''
      unpacked(part.page).then(
        (html) => {
          if (!shown) return
          const page = framed(html, 'Drill of ' + rules.plain(name))
          url = window.URL.createObjectURL(new Blob([page], { type: 'text/html' }))
          setState({ url })
        },
        (error) => shown && setState({ error: error.message }),
      )
      return () => {
        shown = false
        if (url) window.URL.revokeObjectURL(url)
      }
    }, [part.page, name])
    if (state.error) return 'Its report cannot be shown: ' + rules.plain(state.error) + '. '
    if (!state.url) return null
    return h(
      mui.Link,
      { href: state.url, target: '_blank', rel: 'noopener noreferrer', 'data-cy': 'onedr-report-link' },
      'Open its report',
    )
  }

  return { ReportLink }
})
