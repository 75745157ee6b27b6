// SPDX-License-Identifier: BSD-3-Clause
// Draws the plots of a report once more, so that one can look closer: what is drawn stands in the page
// as JSON. Words from outside become text of the page, never HTML.
(function () {
    "use strict";

    var scales = {
        us: [[3600e6, " h"], [60e6, " min"], [1e6, " s"], [1e3, " ms"], [1, " µs"], [1e-3, " ns"]],
        s: [[86400, " d"], [3600, " h"], [60, " min"], [1, " s"], [1e-3, " ms"]],
        bytes: [[1099511627776, " TiB"], [1073741824, " GiB"], [1048576, " MiB"], [1024, " KiB"], [1, " B"]],
        bits_per_s: [[1e9, " Gbit/s"], [1e6, " Mbit/s"], [1e3, " kbit/s"], [1, " bit/s"]],
        count: [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]]
    };

    function digits(value, count) {
        return String(Number(value.toPrecision(count)));
    }

    // "12.5 ms": `count` digits.
    function words(unit, value, count) {
        if (value === null || value === undefined)
            return "–";
        if (unit === "share")
            return digits(value * 100, count) + " %";
        if (unit === "percent")
            return digits(value, count) + " %";
        var list = scales[unit] || scales.count;
        for (var i = 0; i < list.length; i++) {
            if (Math.abs(value) >= list[i][0] * 0.9995)
                return digits(value / list[i][0], count) + list[i][1] + (unit === "per_s" ? "/s" : "");
        }
        return value === 0 ? "0" : digits(value, count) + (unit === "per_s" ? "/s" : "");
    }

    function tick(unit, value) {
        return words(unit, value, 4).replace("/s", unit === "per_s" ? "" : "/s");
    }

    function share(nines) {
        return (100 * (1 - Math.pow(10, -nines))).toFixed(Math.max(0, Math.ceil(nines - 2 + (nines % 1 ? 1 : 0)))) + " %";
    }

    function colour(name) {
        return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    }

    var powers = []; // of two, on an axis of bytes
    for (var power = 1; power <= 1125899906842624; power *= 2)
        powers.push(power);

    function axis(unit, kind, side) {
        var logarithmic = kind === "log", nines = kind === "nines";
        return {
            stroke: colour("--quiet"),
            font: "12px system-ui, 'DejaVu Sans', sans-serif",
            grid: {stroke: colour("--grid"), width: 1},
            ticks: {show: false},
            border: {show: false},
            gap: 6,
            size: side === 3 ? 74 : 30,
            space: side === 3 ? 36 : 74,
            incrs: unit === "bytes" ? powers : unit === "s" && side === 2
                ? [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200,
                   21600, 43200, 86400, 172800, 432000] : undefined,
            values: function (plot, splits) {
                return splits.map(function (value) {
                    if (value === null)
                        return "";
                    if (nines)
                        return value % 1 ? "" : share(value);
                    if (logarithmic && Math.abs(Math.log10(value) % 1) > 1e-6 && Math.abs(Math.log10(value) % 1) < 1 - 1e-6)
                        return "";
                    return tick(unit, value);
                });
            }
        };
    }

    function series(line, unit, smooth) {
        var points = line.dots || line.crosses, paint = colour("--t" + line.tone);
        return {
            label: line.name,
            stroke: paint,
            width: points ? 0 : 1.75,
            dash: line.dashed ? [6, 5] : undefined,
            fill: line.filled ? paint + "1a" : undefined,
            paths: points ? function () { return null; } : undefined,
            points: line.crosses ? {show: crosses} : points ? {show: true, size: 10, fill: paint, stroke: paint}
                                                            : smooth ? {show: false} : {size: 6, fill: paint},
            spanGaps: false,
            value: function (plot, value) { return words(unit, value, 4); }
        };
    }

    function crosses(plot, index) {
        var context = plot.ctx, half = 4.5 * devicePixelRatio;
        context.save();
        context.strokeStyle = plot.series[index].stroke();
        context.lineWidth = 2 * devicePixelRatio;
        context.beginPath();
        plot.data[index].forEach(function (value, at) {
            if (value === null || value === undefined)
                return;
            var x = plot.valToPos(plot.data[0][at], "x", true), y = plot.valToPos(value, "y", true);
            context.moveTo(x - half, y - half);
            context.lineTo(x + half, y + half);
            context.moveTo(x + half, y - half);
            context.lineTo(x - half, y + half);
        });
        context.stroke();
        context.restore();
        return false;
    }

    // Moments with words: a line, and its words where the pointer is near.
    function marks(list) {
        return function (plot) {
            var context = plot.ctx;
            context.save();
            context.strokeStyle = colour("--quiet");
            context.fillStyle = colour("--quiet");
            context.font = 11 * devicePixelRatio + "px system-ui, 'DejaVu Sans', sans-serif";
            context.textAlign = "left";
            context.textBaseline = "alphabetic";
            context.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
            var ends = [0, 0, 0, 0]; // of words in a row: those that would meet stand below each other
            list.forEach(function (mark) {
                var x = plot.valToPos(mark[0], "x", true);
                if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width)
                    return;
                context.beginPath();
                context.moveTo(x, plot.bbox.top);
                context.lineTo(x, plot.bbox.top + plot.bbox.height);
                context.stroke();
                var row = ends.findIndex(function (end) { return end < x; });
                if (row < 0)
                    return;
                var word = mark[1].length > 40 ? mark[1].slice(0, 39) + "…" : mark[1];
                ends[row] = x + context.measureText(word).width + 12 * devicePixelRatio;
                context.fillText(word, x + 4 * devicePixelRatio, plot.bbox.top + (11 + 13 * row) * devicePixelRatio);
            });
            context.restore();
        };
    }

    function options(plot, width) {
        var timed = plot.x === "s";
        return {
            width: width,
            height: Math.max(190, Math.min(280, Math.round(width * 0.3))),
            padding: [10, 12, 0, 0],
            cursor: {sync: timed ? {key: "time", scales: ["x", null]} : undefined, drag: {x: true, y: false}},
            scales: {
                x: {time: false, distr: plot.x_axis === "log" ? 3 : 1},
                y: {
                    distr: plot.y_axis === "log" ? 3 : 1,
                    range: plot.y_axis === "log" ? undefined : function (self, low, high) {
                        return uPlot.rangeNum(Math.min(low || 0, 0), high > 0 ? high : 1, 0.08, true);
                    }
                }
            },
            axes: [axis(plot.x, plot.x_axis, 2), axis(plot.y, plot.y_axis, 3)],
            series: [{
                label: timed ? "time" : plot.x_axis === "nines" ? "share" : "rate",
                value: function (self, value) {
                    return value === null ? "–" : plot.x_axis === "nines" ? share(value) : words(plot.x, value, 5);
                }
            }].concat(plot.lines.map(function (line) {
                return series(line, plot.y, plot.x_axis === "nines");
            })),
            hooks: {draw: plot.marks.length ? [marks(plot.marks)] : []}
        };
    }

    var drawn = [];

    function draw(plot) {
        var figure = document.getElementById(plot.id);
        var place = figure.querySelector(".moving");
        if (!place) {
            place = document.createElement("div");
            place.className = "moving";
            place.setAttribute("aria-hidden", "true"); // its picture and the tables say the same
            figure.appendChild(place);
        }
        place.textContent = "";
        var data = plot.tables.length > 1 ? uPlot.join(plot.tables) : plot.tables[0];
        drawn.push({uplot: new uPlot(options(plot, figure.clientWidth), data, place), figure: figure});
    }

    var plots = JSON.parse(document.getElementById("plots").textContent);

    function drawAll() {
        drawn.forEach(function (one) { one.uplot.destroy(); });
        drawn = [];
        plots.forEach(draw);
    }

    document.documentElement.classList.add("scripted");
    drawAll();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    var width = innerWidth;
    addEventListener("resize", function () {
        if (innerWidth !== width) // not on paper, which has the pictures
            drawAll();
        width = innerWidth;
    });
})();
