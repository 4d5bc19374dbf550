// The ingredient words that recipe lines are read with: canonical name, group, and the allergens that the word implies.

/** The nine allergens that are tracked (the "big nine" of US labeling, with wheat widened to gluten). */
export const allergens = ['gluten', 'milk', 'egg', 'fish', 'shellfish', 'peanut', 'tree_nut', 'soy', 'sesame'] as const;
export type Allergen = (typeof allergens)[number];

/**
 * Groups of ingredients: where they come from (decides the diets) and what one serving of one ingredient of the group is
 * taken to cost, in US dollars. The prices are a model (round figures of a cheap supermarket), not data.
 */
export const ingredientGroups = {
  beef: { origin: 'meat', usdPerServing: 2.2 },
  lamb: { origin: 'meat', usdPerServing: 2.8 },
  pork: { origin: 'pork', usdPerServing: 1.5 },
  poultry: { origin: 'meat', usdPerServing: 1.3 },
  meat: { origin: 'unspecified_meat', usdPerServing: 1.8 },
  fish: { origin: 'fish', usdPerServing: 2.4 },
  shellfish: { origin: 'fish', usdPerServing: 3 },
  egg: { origin: 'animal_product', usdPerServing: 0.4 },
  dairy: { origin: 'animal_product', usdPerServing: 0.35 },
  cheese: { origin: 'animal_product', usdPerServing: 0.7 },
  honey: { origin: 'animal_product', usdPerServing: 0.2 },
  vegetable: { origin: 'plant', usdPerServing: 0.35 },
  fruit: { origin: 'plant', usdPerServing: 0.4 },
  grain: { origin: 'plant', usdPerServing: 0.25 },
  legume: { origin: 'plant', usdPerServing: 0.3 },
  nut: { origin: 'plant', usdPerServing: 0.5 },
  oil: { origin: 'plant', usdPerServing: 0.12 },
  seasoning: { origin: 'plant', usdPerServing: 0.06 },
  sweetener: { origin: 'plant', usdPerServing: 0.1 },
  condiment: { origin: 'plant', usdPerServing: 0.2 },
  alcohol: { origin: 'plant', usdPerServing: 0.6 },
  drink: { origin: 'plant', usdPerServing: 0.2 },
  prepared: { origin: 'unknown', usdPerServing: 0.4 },
  water: { origin: 'plant', usdPerServing: 0 },
  not_food: { origin: 'plant', usdPerServing: 0 },
} as const satisfies Record<string, { origin: Origin; usdPerServing: number }>;
export type IngredientGroup = keyof typeof ingredientGroups;
export type Origin = 'meat' | 'pork' | 'unspecified_meat' | 'fish' | 'animal_product' | 'plant' | 'unknown';

/** One ingredient: `also` are further words for it, `contains` allergens it has, `mayContain` allergens that depend on the brand. */
export type LexiconEntry = {
  readonly name: string;
  readonly group: IngredientGroup;
  readonly also: readonly string[];
  readonly contains: readonly Allergen[];
  readonly mayContain: readonly Allergen[];
};

type Row = string | { is: string; contains?: readonly Allergen[]; mayContain?: readonly Allergen[] };

/** Rows are `name` or `name / other word / other word`; allergens given for the group hold for every row of it. */
function group(
  groupName: IngredientGroup,
  groupContains: readonly Allergen[],
  rows: readonly Row[],
): readonly LexiconEntry[] {
  return rows.map((row) => {
    const { is, contains = [], mayContain = [] } = typeof row === 'string' ? { is: row } : row;
    const [name = '', ...also] = is.split(' / ');
    return { name, group: groupName, also, contains: [...groupContains, ...contains], mayContain };
  });
}

export const lexicon: readonly LexiconEntry[] = [
  ...group(
    'beef',
    [],
    [
      'beef / chuck / sirloin / brisket / oxtail / beef kidney / suet / steak / skirt steak / flank / hamburger / short rib / bolognese sauce',
      'veal',
      'beef stock / beef broth / beef bouillon / beef bone / beef gravy / gravy granules / gelatin',
    ],
  ),
  ...group('lamb', [], ['lamb / mutton']),
  ...group(
    'pork',
    [],
    [
      'pork / porkchop / pork chop / pork butt / pork belly / rib rack / pig / baby back rib',
      'bacon / pancetta / guanciale / fatback / lardon / rasher',
      'ham / prosciutto / jamon / gammon',
      { is: 'chorizo / chourico / salami / salsiccia / pepperoni / andouille / linguica / mortadella' },
      'lard',
    ],
  ),
  ...group(
    'poultry',
    [],
    [
      'chicken / chicken breast / chicken thigh / chicken wing / ckicken',
      'turkey',
      'duck',
      'chicken stock / chicken broth / chicken bouillon / chicken bullion / chicken bullion cube / chicken cube',
    ],
  ),
  ...group(
    'meat',
    [],
    [
      'meat / mince / minced meat / ground meat / taco meat',
      {
        is: 'sausage / chipolata / frankfurter / falukorv / blood sausage / bratwurst / hot dog',
        mayContain: ['gluten'],
      },
      'liver / kidney',
      'bone / marrow',
    ],
  ),
  ...group(
    'fish',
    ['fish'],
    [
      'fish / trevally / mackerel / cod / anglerfish / sardine / fish stock / haddock / tilapia / white fish / monkfish',
      'salmon / smoked salmon',
      'tuna',
      'anchovy',
      'fish sauce',
      { is: 'worcestershire sauce / worcestershire / worchestershire / worchestershire sauce', mayContain: ['gluten'] },
      'dashi / bonito / katsuobushi',
    ],
  ),
  ...group(
    'shellfish',
    ['shellfish'],
    [
      'shrimp / prawn / shrimp stock',
      'crab / crab meat / crab stick / lobster / crawfish',
      'mussel / clam / scallop / squid / calamari / octopus / oyster',
      { is: 'seafood', mayContain: ['fish'] },
      { is: 'oyster sauce', mayContain: ['soy', 'gluten'] },
    ],
  ),
  ...group(
    'egg',
    ['egg'],
    [
      'egg / yolk / egg yolk / egg white / egg wash',
      { is: 'mayonnaise / mayonnese / mayo / aioli', mayContain: ['soy'] },
    ],
  ),
  ...group(
    'dairy',
    ['milk'],
    [
      'milk / buttermilk / whey / powdered milk / condensed milk / evaporated milk / dairy',
      'butter / ghee / margarine',
      'cream / sour cream / creme fraiche / whipping cream / double cream / heavy cream / creme / half and half',
      'yogurt / yoghurt / greek yogurt / quark / kefir / skyr / curd',
      'ice cream / dulce de leche',
      { is: 'bechamel', contains: ['gluten'] },
    ],
  ),
  ...group(
    'cheese',
    ['milk'],
    [
      'cheese / cheddar / mozzarella / gruyere / emmental / gouda / edam / tilsitter / appenzeller / scamorza / vacherin / provolone / monterey jack / oaxaca / brie',
      'parmesan / parmigiano / pecorino / romano / pecorino romano / reggiano / grana padano / parmigiano reggiano',
      'feta',
      'ricotta / cottage cheese / mascarpone / cream cheese / creme cheese / philadelphia',
      'paneer / halloumi',
    ],
  ),
  ...group('honey', [], ['honey']),
  ...group(
    'vegetable',
    [],
    [
      'onion / yellow onion / red onion / white onion / shallot / welsh onion / scallion / spring onion / green onion / leek / chive',
      'garlic',
      'tomato / passata / tomato paste / tomato puree / tomato sauce / marzano / san marzano / pomodoro / tomatos / tomatillo / cherry tomato / plum tomato',
      'potato / yukon / hash brown / french fry',
      'sweet potato / yam / sweet pototoes',
      'carrot',
      'celery / celeriac / celery stick / celery stalk',
      'bell pepper / red pepper / green pepper / yellow pepper / sweet pepper / capsicum / pepper strip',
      'chili / chilli / chile / chily / chilly / jalapeno / jalepeno / chili pepper / hot pepper / serrano / poblano / habanero / piri piri / piripiri / ancho / guajillo',
      'mushroom / champignon / cremini / shiitake / portobello',
      'broccoli / broccli',
      'cauliflower',
      'cabbage / sauerkraut / brussels sprout / bok choy / kimchi / pak choi / coleslaw mix',
      'spinach / chard / kale / collard green / greens / rocket / arugula',
      'lettuce / romaine / salad green / romain / salad leaf / iceberg',
      'zucchini / courgette / squash / butternut squash / pumpkin / butternut',
      'eggplant / aubergine',
      'cucumber / pickle / gherkin / gerkin / cornichon / relish',
      'corn / corn kernel / baby corn / sweetcorn / maize',
      'beet / beetroot / swede / turnip / parsnip / radish / rutabaga / daikon',
      'asparagus / artichoke / fennel / fennel bulb / okra / bean sprout / water chestnut / bamboo shoot / vegetable',
      'avocado',
      'olive / caper / kalamata',
      'ginger / gingerroot',
      'seaweed / nori / kombu / wakame',
      'vegetable stock / vegetable broth / veggie broth / vegetable bouillon / veggie stock / veggie bouillon',
      'horseradish / wasabi',
      'salsa / tomato salsa',
    ],
  ),
  ...group(
    'fruit',
    [],
    [
      'apple / applesauce / apple sauce / apple cider',
      'lemon / lemon juice / lime / lime juice / citrus / clementine / lemon zest',
      'orange / orange juice / mandarin',
      'banana / plantain',
      'berry / strawberry / blueberry / raspberry / cranberry / blackberry / cherry / currant',
      'raisin / prune / apricot / date / fig / dried fruit / plum / sultana',
      'pear / peach / mango / pineapple / grape / melon / papaya / fruit / quince / grapefruit',
      'jam / marmalade / fruit syrup / pear syrup',
      'coconut / coconut milk / coconut cream / coconut flake / desiccated coconut',
    ],
  ),
  ...group(
    'grain',
    [],
    [
      'rice / basmati / arborio / jasmine / brown rice / rice flour / rice noodle / rice paper / risotto rice',
      {
        is: 'pasta / spaghetti / macaroni / penne / fusilli / linguine / fettuccine / lasagna / tagliatelle / mostaccioli / tortellini / ravioli / orecchiette / rigatoni / bucatini / ziti / pasta noodle / lasagna sheet / lasagne / vermicelli / farfalle / orzo / maccheroni / fettucine',
        contains: ['gluten'],
        mayContain: ['egg'],
      },
      { is: 'egg noodle / schinkenfleckerl', contains: ['gluten', 'egg'] },
      { is: 'noodle / ramen / udon / soba', contains: ['gluten'], mayContain: ['egg'] },
      {
        is: 'flour / wheat / bread flour / semolina / wheat flour / self raising flour / rye / rye flour / bulgur / bulghur / couscous / cracked wheat / barley / spelt / seitan / grain / ap flour',
        contains: ['gluten'],
      },
      {
        is: 'bread / baguette / toast / bun / breadcrumb / bread crumb / panko / crouton / ciabatta / pita / naan / tortilla / wrap / roll / crumb / loaf / sandwich bread / sourdough / sourdough starter / cornbread / pizza dough',
        contains: ['gluten'],
        mayContain: ['milk', 'egg', 'soy', 'sesame'],
      },
      {
        is: 'pastry / puff pastry / pie crust / biscuit / cookie / cookies / dough / baking mix / biscuit mix / cracker / gingerbread / ladyfinger / pie shell',
        contains: ['gluten'],
        mayContain: ['milk', 'egg'],
      },
      { is: 'oat / oatmeal / rolled oat / granola', mayContain: ['gluten'] },
      'corn tortilla / cornmeal / polenta / grits / cornstarch / corn starch / cornflour / starch / potato starch / corn flour / popcorn / popping corn / masa / tapioca',
      'buckwheat / buckwheat flour / quinoa / millet / coconut flour / flaxseed / linseed / chia / psyllium',
    ],
  ),
  ...group(
    'legume',
    [],
    [
      'bean / kidney bean / red kidney bean / black bean / pinto / pinto bean / cannellini / cannellini bean / green bean / waxed bean / white bean / baked bean / red bean / cannelini bean / refried bean',
      'lentil / red lentil',
      'chickpea / garbanzo / garbanzo bean / hummus / chickpeas',
      'pea / snow pea / snap pea / split pea / green pea',
      { is: 'tofu / edamame / soybean / tempeh / soy milk / bean curd / doubanjiang', contains: ['soy'] },
      { is: 'soy sauce / soya sauce / tamari / shoyu', contains: ['soy', 'gluten'] },
      { is: 'miso / miso paste', contains: ['soy'], mayContain: ['gluten'] },
      { is: 'hoisin / hoisin sauce / teriyaki sauce / teriyaki', contains: ['soy', 'gluten'], mayContain: ['sesame'] },
    ],
  ),
  ...group(
    'nut',
    [],
    [
      { is: 'peanut / peanut butter / groundnut', contains: ['peanut'] },
      {
        is: 'almond / walnut / pecan / cashew / hazelnut / pistachio / pine nut / almond meal / almond flour / almond milk / nut / chestnut / macadamia',
        contains: ['tree_nut'],
      },
      { is: 'sesame / sesame seed / tahini / benne', contains: ['sesame'] },
      'sunflower seed / pumpkin seed / seed / poppy seed / hemp heart',
    ],
  ),
  ...group(
    'oil',
    [],
    [
      'oil / olive oil / vegetable oil / sunflower oil / canola / canola oil / coconut oil / corn oil / rapeseed oil / neutral oil / frying oil / cooking oil / salad oil / extra virgin olive oil / cooking spray / shortening',
      { is: 'sesame oil', contains: ['sesame'] },
      { is: 'peanut oil', contains: ['peanut'] },
    ],
  ),
  ...group(
    'seasoning',
    [],
    [
      'salt / sea salt / kosher salt / celery salt / garlic salt / citric acid / citric acid salt / msg',
      'pepper / black pepper / white pepper / peppercorn / white pepper powder / szechuan pepper / sichuan peppercorn / ground pepper',
      'paprika / smoked paprika / cayenne / cayenne pepper / chili powder / chilli powder / chili flake / red pepper flake / pepper flake / hungarian paprika / red chili powder / chipotle / chilli flake',
      'garlic powder / onion powder / powdered garlic / ginger powder / ground ginger',
      'cumin / coriander seed / turmeric / tumeric / curcuma / fenugreek / garam masala / masala / curry / curry powder / cardamom / mustard seed / fennel seed / caraway / star anise / clove / cassia / allspice / saffron / sumac / five spice / anise / ground coriander / cumin powder / pimento / juniper / mixed spice / spice / asafoetida / fenugreek leaf / coriander powder / celery seed / dill seed',
      'cinnamon / cinamon / cinnamom / nutmeg / nuez moscada / vanilla / vanilla extract / vanilla sugar / mace / vanilla essence / cinnamon stick',
      'parsley / parsely / cilantro / coriander / basil / oregano / origan / thyme / rosemary / sage / bay leaf / bay leave / bayleaf / bayleave / mint / dill / tarragon / marjoram / majoran / herb / herbs de provence / lemongrass / lovage / bay / savoury / zaatar / za atar / loorber leaves / savory / kaffir lime leaf / chervil / italian seasoning / herbes de provence / basil leaf',
      'seasoning / adobo / cajun seasoning / old bay / creole / cajun / old bay seasoning / taco seasoning / fajita seasoning / spice blend / rub / liquid smoke / fajita / sazon / harissa',
      'yeast / baking powder / baking soda / soda / cooking powder / cream of tartar / bicarbonate / rennet / dry yeast / active dry yeast / pectin / xanthan gum / ammonium',
    ],
  ),
  ...group(
    'sweetener',
    [],
    [
      'sugar / brown sugar / white sugar / powdered sugar / icing sugar / caster sugar / cane sugar / sweetener',
      'syrup / maple syrup / molasses / agave / corn syrup / golden syrup / treacle / maple',
      { is: 'chocolate / dark chocolate / chocolate chip / milk chocolate / sprinkle', mayContain: ['milk', 'soy'] },
      'cocoa / cocoa powder / chocolate powder / cacao',
    ],
  ),
  ...group(
    'condiment',
    [],
    [
      'vinegar / cider vinegar / balsamic / balsamic vinegar / wine vinegar / rice vinegar / apple cider vinegar / red wine vinegar / white wine vinegar / white vinegar / chinese rice vinegar',
      'mustard / dijon / dijon mustard / yellow mustard',
      'ketchup',
      'hot sauce / tabasco / sriracha / sriacha / chili sauce / frank s redhot / redhot / redhot sauce / chili garlic sauce / sweet chili sauce / chilli sauce / pepper sauce / hot pepper sauce / chili oil / sambal',
    ],
  ),
  ...group(
    'alcohol',
    [],
    [
      'wine / red wine / white wine / cognac / brandy / rum / sherry / mirin / sake / vodka / whiskey / marsala / champagne / port wine / whisky / tequila / white whine / liqueur / cooking wine / rice wine / kirsch / limoncello / grain alcohol / alcohol / prosecco / jigger / vermouth',
      { is: 'beer / stout / porter / ale', contains: ['gluten'] },
    ],
  ),
  ...group(
    'drink',
    [],
    ['coffee / tea / black tea / green tea / matcha / juice / mineral water / cola / kombucha scoby / scoby'],
  ),
  ...group(
    'prepared',
    [],
    [
      {
        is: 'stock / broth / bouillon / bullion / stock cube / bulion',
        mayContain: ['gluten', 'milk', 'egg', 'fish', 'shellfish', 'soy'],
      },
      {
        is: 'curry paste / massaman curry paste / red curry paste',
        mayContain: ['shellfish', 'fish', 'soy', 'peanut'],
      },
      {
        is: 'barbecue sauce / bbq sauce / brown sauce / steak sauce / fradiavolo sauce',
        mayContain: ['fish', 'gluten', 'soy'],
      },
      { is: 'pesto', contains: ['milk', 'tree_nut'] },
      { is: 'caesar salad dressing / caesar dressing', contains: ['egg', 'fish', 'milk'] },
      { is: 'pizza sauce / pasta sauce', mayContain: ['milk'] },
      {
        is: 'cream of chicken soup / cream of mushroom soup / condensed cream of chicken soup',
        contains: ['milk', 'gluten'],
        mayContain: ['soy', 'egg'],
      },
    ],
  ),
  ...group('water', [], ['water / ice / ice water / ice cube']),
  ...group(
    'not_food',
    [],
    [
      'thermometer / cheesecloth / cheese cloth / cheese recipient / foil / tin foil / sieve / jar / glass jar / thermos / slow cooker / pan / marble / stone / applewood / wood chip / oven bag / baking dish / parchment / baking paper / traeger / toothpick / skewer / wood / paper / mold',
    ],
  ),
];
