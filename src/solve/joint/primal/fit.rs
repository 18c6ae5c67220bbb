//! Replicas that are given -> a plan that comes as near to them as can be found. Load beyond them costs its share of a replica, times a
//! penalty that grows: unlike the whole replica that it would take, a share says which way is better before the last of it is gone.

use super::{Dish, Draft, OWN, Primal};

/// Penalties in quarters of the price of a replica.
const PENALTIES: [i128; 6] = [4, 6, 9, 14, 22, 40];
/// Passes over the jobs at each penalty.
const PASSES: usize = 2;

impl Primal<'_> {
    /// Moves jobs off kinds with more load than `replicas` carry, and takes up what comes of it.
    pub fn fit(&mut self, dishes: Vec<Vec<u32>>, replicas: &[i64], clock: &dyn Fn() -> bool) {
        let mut draft = self.drafted(dishes);
        let room: Vec<i64> =
            self.fleet.kinds.iter().zip(replicas).map(|(kind, most)| kind.capacity.saturating_mul(*most)).collect();
        let mut order: Vec<usize> = (0..self.menus.len()).collect();
        for penalty in PENALTIES {
            for _ in 0..PASSES {
                self.random.shuffle(&mut order);
                let mut moved = false;
                for &job in &order {
                    if clock() {
                        return;
                    }
                    if self.crowds(&draft, job, &room) {
                        moved |= self.ease(&mut draft, job, &room, penalty);
                    }
                }
                self.keep(&draft);
                if !moved {
                    break;
                }
            }
        }
        for job in 0..self.menus.len() {
            self.answer(&mut draft, job);
        }
        self.take_up(draft);
    }

    /// Whether a job uses a kind that has too much load.
    fn crowds(&self, draft: &Draft, job: usize, room: &[i64]) -> bool {
        draft.dishes[job].iter().enumerate().any(|(place, dish)| {
            let dish = self.dish(job, place, *dish);
            dish.kind != OWN && dish.load > 0 && draft.loads[dish.kind as usize] > room[dish.kind as usize]
        })
    }

    /// Lets one job answer to the penalties; whether it moved.
    fn ease(&mut self, draft: &mut Draft, job: usize, room: &[i64], penalty: i128) -> bool {
        let before = self.fees(draft, job) + self.excess(draft, room, penalty);
        let dishes = draft.dishes[job].clone();
        self.put(draft, job, -1);
        let price = |search: &Self, draft: &Draft, dish: &Dish, share: i64| {
            let at = dish.kind as usize;
            if dish.kind == OWN {
                return dish.fee;
            }
            let load = draft.loads[at];
            let more = search.over(load.saturating_add(dish.load), at, room) - search.over(load, at, room);
            let price = more * penalty / 4 + i128::from(share / 64);
            dish.fee + price.clamp(0, 1 << 52) as i64
        };
        self.ask(draft, job, true, price);
        self.put(draft, job, 1);
        let after = self.fees(draft, job) + self.excess(draft, room, penalty);
        if after >= before {
            self.put(draft, job, -1);
            draft.dishes[job] = dishes;
            self.put(draft, job, 1);
        }
        after < before
    }

    fn fees(&self, draft: &Draft, job: usize) -> i128 {
        let fee = |(place, dish): (usize, &u32)| i128::from(self.dish(job, place, *dish).fee);
        draft.dishes[job].iter().enumerate().map(fee).sum()
    }

    /// What the load beyond all replicas costs at a penalty.
    fn excess(&self, draft: &Draft, room: &[i64], penalty: i128) -> i128 {
        let over = |(at, load): (usize, &i64)| self.over(*load, at, room);
        draft.loads.iter().enumerate().map(over).sum::<i128>() * penalty / 4
    }

    /// The share of a replica's price that the load beyond a kind's replicas would take.
    fn over(&self, load: i64, at: usize, room: &[i64]) -> i128 {
        let kind = &self.fleet.kinds[at];
        let price = i128::from(kind.price + kind.start).max(1);
        i128::from((load - room[at]).max(0)) * price / i128::from(kind.capacity.max(1))
    }
}
