(function () {
  "use strict";
  var table = document.querySelector(".users");
  if (!table || !table.tBodies[0]) return;
  var body = table.tBodies[0];
  var rows = Array.prototype.map.call(body.rows, function (row) {
    return { row: row, text: row.textContent.toLowerCase(), outcome: row.cells[3].textContent };
  });
  var search = document.getElementById("search");
  var only = document.getElementById("only");
  var shown = document.getElementById("shown");
  document.documentElement.classList.add("js");

  function filter() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    var count = 0;
    rows.forEach(function (one) {
      var kept = (!only.value || one.outcome === only.value) &&
        words.every(function (word) { return one.text.indexOf(word) >= 0; });
      if (one.row.hidden === kept) one.row.hidden = !kept;
      if (kept) count += 1;
    });
    shown.textContent = count.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " shown";
  }

  var waiting = 0;
  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 80);
  }

  var order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  function sort(column, head) {
    var down = head.getAttribute("aria-sort") === "ascending";
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell) { cell.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var keyed = rows.map(function (one, place) {
      return { one: one, place: place, key: one.row.cells[column].textContent };
    });
    keyed.sort(function (a, b) {
      var by = order.compare(a.key, b.key);
      return (down ? -by : by) || a.place - b.place;
    });
    rows = keyed.map(function (entry) { return entry.one; });
    var all = document.createDocumentFragment();
    rows.forEach(function (one) { all.appendChild(one.row); });
    body.appendChild(all);
  }

  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
    head.tabIndex = 0;
    head.title = "Sort by " + head.textContent;
    head.addEventListener("click", function () { sort(column, head); });
    head.addEventListener("keydown", function (event) {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort(column, head);
    });
  });
  search.addEventListener("input", soon);
  only.addEventListener("change", filter);
  filter();
})();
